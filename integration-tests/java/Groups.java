import io.pravega.client.ClientConfig;
import io.pravega.client.EventStreamClientFactory;
import io.pravega.client.admin.ReaderGroupManager;
import io.pravega.client.stream.Checkpoint;
import io.pravega.client.stream.ConfigMismatchException;
import io.pravega.client.stream.EventRead;
import io.pravega.client.stream.EventStreamReader;
import io.pravega.client.stream.Position;
import io.pravega.client.stream.ReaderConfig;
import io.pravega.client.stream.ReaderGroup;
import io.pravega.client.stream.ReaderGroupConfig;
import io.pravega.client.stream.ReaderGroupNotFoundException;
import io.pravega.client.stream.ReinitializationRequiredException;
import io.pravega.client.stream.Stream;
import io.pravega.client.stream.StreamCut;
import io.pravega.client.stream.impl.UTF8StringSerializer;
import java.io.BufferedOutputStream;
import java.io.OutputStream;
import java.io.PrintStream;
import java.net.URI;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Base64;
import java.util.TreeSet;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;

/**
 * A program that shares reader groups with the SDK: URI SCOPE STREAM GROUP VERB [ARGUMENT...].
 */
public class Groups {
    private final ClientConfig config;
    private final String scope;
    private final Stream stream;
    private final String name;
    private final ReaderGroupManager manager;
    private final ScheduledExecutorService executor = Executors.newScheduledThreadPool(2);
    /** A file, because the client logs to stdout. */
    private final PrintStream out;

    Groups(String uri, String scope, String stream, String name) throws Exception {
        OutputStream file = Files.newOutputStream(Path.of(System.getenv("PEER_OUTPUT")));
        this.out = new PrintStream(new BufferedOutputStream(file), false, StandardCharsets.UTF_8);
        this.config = ClientConfig.builder().controllerURI(URI.create(uri)).build();
        this.scope = scope;
        this.stream = Stream.of(scope, stream);
        this.name = name;
        this.manager = ReaderGroupManager.withScope(scope, config);
    }

    public static void main(String[] a) throws Exception {
        Groups groups = new Groups(a[0], a[1], a[2], a[3]);
        switch (a[4]) {
            case "create" -> groups.create(a.length > 5 ? Long.parseLong(a[5]) : 1000);
            case "describe" -> groups.describe();
            case "checkpoint" -> groups.checkpoint(a[5]);
            case "reset-to-cut" -> groups.group().resetReaderGroup(groups.from(StreamCut.from(a[5])));
            case "reset-to-last" -> groups.group().resetReaderGroup();
            case "reset-to-checkpoint" -> groups.resetTo(Checkpoint.fromBytes(bytes(a[5])));
            case "read" -> groups.read(a[5]);
            case "offline" -> groups.offline(a[5], a[6]);
            case "unread" -> groups.out.println(groups.group().getMetrics().unreadBytes());
            case "delete" -> groups.manager.deleteReaderGroup(groups.name);
            default -> throw new IllegalArgumentException(a[4]);
        }
        groups.out.flush();
        System.exit(0);
    }

    private static ByteBuffer bytes(String text) {
        return ByteBuffer.wrap(Base64.getDecoder().decode(text));
    }

    private static String text(ByteBuffer bytes) {
        byte[] copy = new byte[bytes.remaining()];
        bytes.duplicate().get(copy);
        return Base64.getEncoder().encodeToString(copy);
    }

    private ReaderGroup group() {
        return manager.getReaderGroup(name);
    }

    private ReaderGroupConfig from(StreamCut cut) {
        return ReaderGroupConfig.builder().stream(stream, cut).disableAutomaticCheckpoints()
                .groupRefreshTimeMillis(1000).build();
    }

    private void create(long refresh) {
        ReaderGroupConfig wanted = ReaderGroupConfig.builder().stream(stream).disableAutomaticCheckpoints()
                .groupRefreshTimeMillis(refresh).build();
        try {
            out.println(manager.createReaderGroup(name, wanted));
        } catch (ConfigMismatchException e) {
            out.println("mismatch");
        }
    }

    /** The readers, the segments without one, and the cuts. */
    private void describe() {
        ReaderGroup group;
        try {
            group = group();
        } catch (ReaderGroupNotFoundException e) {
            out.println("missing");
            return;
        }
        out.println(String.join(",", new TreeSet<>(group.getOnlineReaders())));
        out.println(group.getReaderSegmentDistribution().getUnassignedSegments());
        group.getStreamCuts().values().forEach(cut -> out.println(cut.asText()));
    }

    private void checkpoint(String checkpoint) throws Exception {
        out.println(text(group().initiateCheckpoint(checkpoint, executor).get().toBytes()));
    }

    private void resetTo(Checkpoint checkpoint) {
        group().resetReaderGroup(ReaderGroupConfig.builder().startFromCheckpoint(checkpoint)
                .disableAutomaticCheckpoints().groupRefreshTimeMillis(1000).build());
    }

    private void offline(String reader, String position) {
        group().readerOffline(reader, position.isEmpty() ? null : Position.fromBytes(bytes(position)));
    }

    /** Reads until the group is reset, the reader is taken out, or a checkpoint "stop" comes. */
    private void read(String reader) {
        EventStreamClientFactory factory = EventStreamClientFactory.withScope(scope, config);
        EventStreamReader<String> events =
                factory.createReader(reader, name, new UTF8StringSerializer(), ReaderConfig.builder().build());
        try {
            while (true) {
                EventRead<String> read = events.readNextEvent(500);
                if (read.getEvent() != null) {
                    out.println(read.getEvent());
                } else if (read.isCheckpoint() && read.getCheckpointName().equals("stop")) {
                    events.readNextEvent(500);
                    events.close();
                    out.println("stopped");
                    return;
                }
            }
        } catch (ReinitializationRequiredException e) {
            out.println("out of the group");
        }
    }
}
