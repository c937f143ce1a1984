import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.stream.Stream;
import org.opensearch.Version;
import org.opensearch.common.settings.Settings;
import org.opensearch.env.Environment;
import org.opensearch.node.InternalSettingsPreparer;
import org.opensearch.node.Node;
import org.opensearch.plugins.PluginInfo;

/**
 * One OpenSearch node on loopback with the modules that indexing of mail needs. The distribution is no Maven
 * artefact; the server and its modules are.
 *
 * <p>Arguments: home directory, HTTP port, transport port, then settings as name=value.
 */
public final class Server extends Node {
  private Server(Environment environment, Collection<PluginInfo> modules) {
    super(environment, modules, false);
  }

  private static PluginInfo module(String className) {
    String name = className.substring(className.lastIndexOf('.') + 1);
    return new PluginInfo(
        name, "module", Version.CURRENT.toString(), Version.CURRENT, "21", className, null, List.of(), false);
  }

  public static void main(String[] arguments) throws Exception {
    Path home = Path.of(arguments[0]);
    Files.createDirectories(home.resolve("config"));
    Settings.Builder settings =
        Settings.builder()
            .put("path.home", home.toString())
            .put("cluster.name", "connector-tests")
            .put("node.name", "node-1")
            .put("discovery.type", "single-node")
            .put("http.type", "netty4")
            .put("http.host", "127.0.0.1")
            .put("http.port", arguments[1])
            .put("transport.type", "netty4")
            .put("transport.host", "127.0.0.1")
            .put("transport.port", arguments[2])
            .put("cluster.routing.allocation.disk.threshold_enabled", false);
    for (String pair : List.of(arguments).subList(3, arguments.length)) {
      String[] setting = pair.split("=", 2);
      settings.put(setting[0], setting[1]);
    }
    List<PluginInfo> modules =
        Stream.of(
                "org.opensearch.transport.Netty4ModulePlugin",
                "org.opensearch.analysis.common.CommonAnalysisModulePlugin",
                "org.opensearch.index.mapper.MapperExtrasModulePlugin")
            .map(Server::module)
            .toList();
    Environment environment =
        InternalSettingsPreparer.prepareEnvironment(settings.build(), Map.of(), null, () -> "node-1");
    new Server(environment, modules).start();
    new CountDownLatch(1).await();
  }
}
