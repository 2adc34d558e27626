import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;

import org.opensearch.analysis.common.CommonAnalysisPlugin;
import org.opensearch.common.settings.Settings;
import org.opensearch.index.mapper.MapperExtrasPlugin;
import org.opensearch.index.reindex.ReindexPlugin;
import org.opensearch.node.InternalSettingsPreparer;
import org.opensearch.transport.Netty4Plugin;

/** One node of OpenSearch: Node DATA HOST HTTP-PORT TRANSPORT-PORT. It ends with the process. */
public class Node extends org.opensearch.node.Node {
    Node(Settings settings) {
        super(InternalSettingsPreparer.prepareEnvironment(settings, Map.of(), null, () -> "n1"),
            List.of(Netty4Plugin.class, CommonAnalysisPlugin.class, ReindexPlugin.class, MapperExtrasPlugin.class), false);
    }

    public static void main(String[] args) throws Exception {
        Path data = Path.of(args[0]).toAbsolutePath();
        Files.createDirectories(data);
        new Node(Settings.builder()
            .put("path.home", data).put("path.data", data.resolve("data")).put("path.logs", data.resolve("logs"))
            .put("discovery.type", "single-node")
            .put("network.host", args[1]).put("http.port", args[2]).put("transport.port", args[3])
            .put("http.type", "netty4").put("transport.type", "netty4")
            .put("cluster.routing.allocation.disk.threshold_enabled", false)
            .build()).start();
        Thread.currentThread().join();
    }
}
