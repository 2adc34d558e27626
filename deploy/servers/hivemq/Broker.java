import java.io.IOException;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;
import java.util.stream.Collectors;

import com.hivemq.embedded.EmbeddedExtension;
import com.hivemq.embedded.EmbeddedHiveMQ;
import com.hivemq.extension.sdk.api.ExtensionMain;
import com.hivemq.extension.sdk.api.auth.Authorizer;
import com.hivemq.extension.sdk.api.auth.PublishAuthorizer;
import com.hivemq.extension.sdk.api.auth.SimpleAuthenticator;
import com.hivemq.extension.sdk.api.auth.SubscriptionAuthorizer;
import com.hivemq.extension.sdk.api.auth.parameter.PublishAuthorizerInput;
import com.hivemq.extension.sdk.api.auth.parameter.PublishAuthorizerOutput;
import com.hivemq.extension.sdk.api.auth.parameter.SimpleAuthInput;
import com.hivemq.extension.sdk.api.auth.parameter.SimpleAuthOutput;
import com.hivemq.extension.sdk.api.auth.parameter.SubscriptionAuthorizerInput;
import com.hivemq.extension.sdk.api.auth.parameter.SubscriptionAuthorizerOutput;
import com.hivemq.extension.sdk.api.parameter.ClientBasedInput;
import com.hivemq.extension.sdk.api.parameter.ExtensionStartInput;
import com.hivemq.extension.sdk.api.parameter.ExtensionStartOutput;
import com.hivemq.extension.sdk.api.parameter.ExtensionStopInput;
import com.hivemq.extension.sdk.api.parameter.ExtensionStopOutput;
import com.hivemq.extension.sdk.api.services.Services;

/**
 * HiveMQ CE with an extension that asks "devicetwin auth" who may connect, and what a client
 * may do, as EMQX would: Broker CONFIG DATA EXTENSIONS URL. It ends with the process.
 */
public class Broker implements ExtensionMain, SimpleAuthenticator, PublishAuthorizer, SubscriptionAuthorizer {
    private static final String USERNAME = "devicetwin.username";
    private static final Duration PATIENCE = Duration.ofSeconds(5);

    private final HttpClient http = HttpClient.newBuilder().connectTimeout(PATIENCE).build();
    private final String url;

    Broker(String url) {
        this.url = url;
    }

    public static void main(String[] args) throws Exception {
        for (String folder : new String[] {args[1], args[2]}) {
            Files.createDirectories(Path.of(folder));
        }
        EmbeddedExtension asks = EmbeddedExtension.builder().withId("devicetwin").withName("devicetwin auth").withVersion("1")
            .withAuthor("devicetwin").withPriority(1000).withStartPriority(1000).withExtensionMain(new Broker(args[3])).build();
        EmbeddedHiveMQ.builder().withConfigurationFolder(Path.of(args[0])).withDataFolder(Path.of(args[1]))
            .withExtensionsFolder(Path.of(args[2])).withEmbeddedExtension(asks).build().start().join();
        System.out.println("# ready");
        Thread.currentThread().join();
    }

    @Override
    public void extensionStart(ExtensionStartInput in, ExtensionStartOutput out) {
        Services.securityRegistry().setAuthenticatorProvider(of -> this);
        Services.securityRegistry().setAuthorizerProvider(of -> (Authorizer) this);
    }

    @Override
    public void extensionStop(ExtensionStopInput in, ExtensionStopOutput out) {
    }

    @Override
    public void onConnect(SimpleAuthInput in, SimpleAuthOutput out) {
        String username = in.getConnectPacket().getUserName().orElse("");
        String password = in.getConnectPacket().getPassword().map(p -> StandardCharsets.UTF_8.decode(p).toString()).orElse("");
        in.getConnectionInformation().getConnectionAttributeStore().putAsString(USERNAME, username);
        if (allows("/emqx/authn", Map.of("clientid", in.getClientInformation().getClientId(), "username", username, "password", password))) {
            out.authenticateSuccessfully();
        } else {
            out.failAuthentication();
        }
    }

    @Override
    public void authorizePublish(PublishAuthorizerInput in, PublishAuthorizerOutput out) {
        if (may(in, "publish", in.getPublishPacket().getTopic())) {
            out.authorizeSuccessfully();
        } else {
            out.failAuthorization(); // ends a connection of MQTT 3
        }
    }

    @Override
    public void authorizeSubscribe(SubscriptionAuthorizerInput in, SubscriptionAuthorizerOutput out) {
        if (may(in, "subscribe", in.getSubscription().getTopicFilter())) {
            out.authorizeSuccessfully();
        } else {
            out.failAuthorization();
        }
    }

    private boolean may(ClientBasedInput in, String action, String topic) {
        String username = in.getConnectionInformation().getConnectionAttributeStore().getAsString(USERNAME).orElse("");
        return allows("/emqx/authz", Map.of("clientid", in.getClientInformation().getClientId(), "username", username, "action", action, "topic", topic));
    }

    /** Refuses what it gets no answer about. */
    private boolean allows(String path, Map<String, String> question) {
        String form = question.entrySet().stream().map(e -> e.getKey() + "=" + URLEncoder.encode(e.getValue(), StandardCharsets.UTF_8))
            .collect(Collectors.joining("&"));
        HttpRequest request = HttpRequest.newBuilder(URI.create(url + path)).timeout(PATIENCE)
            .header("Content-Type", "application/x-www-form-urlencoded").POST(HttpRequest.BodyPublishers.ofString(form)).build();
        try {
            return http.send(request, HttpResponse.BodyHandlers.ofString()).body().contains("\"result\":\"allow\"");
        } catch (IOException | InterruptedException e) {
            return false;
        }
    }
}
