import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Properties;

import kafka.server.KafkaConfig;
import kafka.server.KafkaRaftServer;
import kafka.tools.StorageTool;
import org.apache.kafka.common.utils.Time;

/**
 * A node of a cluster of Kafka: Node NUMBER DATA HOST:PORT HOST:PORT-OF-CONTROLLER [SETTING=VALUE …].
 * Number 1 is a broker and the cluster's controller; the others are brokers. It prints "# ready" when it
 * serves clients, and ends in order at SIGTERM.
 */
public class Node {
    /** All clusters have this id: each has its own addresses, and its own folders. */
    private static final String CLUSTER = "ZGV2aWNldHdpbi10ZXN0cw";

    public static void main(String[] args) throws IOException {
        Path data = Path.of(args[1]);
        Properties settings = settings(args, data);
        format(data, settings);
        KafkaRaftServer server = new KafkaRaftServer(KafkaConfig.fromProps(settings, false), Time.SYSTEM);
        Runtime.getRuntime().addShutdownHook(new Thread(server::shutdown));
        server.startup();
        System.out.println("# ready");
        server.awaitShutdown();
    }

    private static Properties settings(String[] args, Path data) {
        boolean controls = args[0].equals("1");
        Properties p = new Properties();
        p.setProperty("node.id", args[0]);
        p.setProperty("process.roles", controls ? "broker,controller" : "broker");
        p.setProperty("controller.quorum.voters", "1@" + args[3]);
        p.setProperty("controller.listener.names", "CONTROLLER");
        p.setProperty("listener.security.protocol.map", "CLIENTS:PLAINTEXT,CONTROLLER:PLAINTEXT");
        p.setProperty("inter.broker.listener.name", "CLIENTS");
        p.setProperty("listeners", "CLIENTS://" + args[2] + (controls ? ",CONTROLLER://" + args[3] : ""));
        p.setProperty("advertised.listeners", "CLIENTS://" + args[2]);
        p.setProperty("log.dirs", data.resolve("log").toString());
        // What is made without being asked for is small, and where it is asked for is said.
        p.setProperty("auto.create.topics.enable", "false");
        p.setProperty("offsets.topic.num.partitions", "1");
        p.setProperty("offsets.topic.replication.factor", "1");
        p.setProperty("transaction.state.log.num.partitions", "1");
        p.setProperty("transaction.state.log.replication.factor", "1");
        p.setProperty("transaction.state.log.min.isr", "1");
        p.setProperty("share.coordinator.state.topic.num.partitions", "1");
        p.setProperty("share.coordinator.state.topic.replication.factor", "1");
        p.setProperty("share.coordinator.state.topic.min.isr", "1");
        // Tests do not wait.
        p.setProperty("group.initial.rebalance.delay.ms", "0");
        p.setProperty("group.min.session.timeout.ms", "1000");
        p.setProperty("broker.heartbeat.interval.ms", "500");
        p.setProperty("broker.session.timeout.ms", "5000");
        p.setProperty("log.initial.task.delay.ms", "500");
        p.setProperty("log.retention.check.interval.ms", "500");
        for (int i = 4; i < args.length; i++) {
            int cut = args[i].indexOf('=');
            p.setProperty(args[i].substring(0, cut), args[i].substring(cut + 1));
        }
        return p;
    }

    /** Prepares an empty folder. */
    private static void format(Path data, Properties settings) throws IOException {
        Files.createDirectories(data);
        Path file = data.resolve("server.properties");
        try (var out = Files.newOutputStream(file)) {
            settings.store(out, null);
        }
        String[] args = {"format", "--ignore-formatted", "--cluster-id", CLUSTER, "--config", file.toString()};
        int status = StorageTool.execute(args, new PrintStream(System.err));
        if (status != 0) {
            throw new IOException("format " + data + ": status " + status);
        }
    }
}
