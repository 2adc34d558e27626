import java.io.File;
import java.io.IOException;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

import io.moquette.broker.Server;
import io.moquette.broker.config.FileResourceLoader;
import io.moquette.broker.config.ResourceLoaderConfig;
import io.moquette.broker.security.IAuthenticator;
import io.moquette.broker.security.IAuthorizatorPolicy;
import io.moquette.broker.subscriptions.Topic;

/**
 * Moquette, which asks "devicetwin auth" who may connect, and what a client may do, as EMQX
 * would: Broker CONFIG URL. It ends with the process.
 */
public class Broker implements IAuthenticator, IAuthorizatorPolicy {
    private static final Duration PATIENCE = Duration.ofSeconds(5);

    private final HttpClient http = HttpClient.newBuilder().connectTimeout(PATIENCE).build();
    private final String url;

    Broker(String url) {
        this.url = url;
    }

    public static void main(String[] args) throws Exception {
        Broker asks = new Broker(args[1]);
        new Server().startServer(new ResourceLoaderConfig(new FileResourceLoader(new File(args[0]))), List.of(), null, asks, asks);
        System.out.println("# ready");
        Thread.currentThread().join();
    }

    @Override
    public boolean checkValid(String client, String username, byte[] password) {
        String secret = password == null ? "" : new String(password, StandardCharsets.UTF_8);
        return allows("/emqx/authn", Map.of("clientid", client, "username", orEmpty(username), "password", secret));
    }

    @Override
    public boolean canWrite(Topic topic, String username, String client) {
        return may("publish", topic, username, client);
    }

    @Override
    public boolean canRead(Topic topic, String username, String client) {
        return may("subscribe", topic, username, client);
    }

    private boolean may(String action, Topic topic, String username, String client) {
        return allows("/emqx/authz", Map.of("clientid", client, "username", orEmpty(username), "action", action, "topic", topic.toString()));
    }

    private static String orEmpty(String s) {
        return s == null ? "" : s;
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
