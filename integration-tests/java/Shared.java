import io.pravega.client.ClientConfig;
import io.pravega.client.KeyValueTableFactory;
import io.pravega.client.SynchronizerClientFactory;
import io.pravega.client.admin.KeyValueTableManager;
import io.pravega.client.state.InitialUpdate;
import io.pravega.client.state.Revision;
import io.pravega.client.state.Revisioned;
import io.pravega.client.state.RevisionedStreamClient;
import io.pravega.client.state.StateSynchronizer;
import io.pravega.client.state.SynchronizerConfig;
import io.pravega.client.state.Update;
import io.pravega.client.stream.Serializer;
import io.pravega.client.stream.impl.UTF8StringSerializer;
import io.pravega.client.tables.KeyValueTable;
import io.pravega.client.tables.KeyValueTableClientConfiguration;
import io.pravega.client.tables.KeyValueTableConfiguration;
import io.pravega.client.tables.Put;
import io.pravega.client.tables.TableKey;
import io.pravega.client.tables.Version;
import java.io.BufferedOutputStream;
import java.io.OutputStream;
import java.io.PrintStream;
import java.net.URI;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;

/**
 * A program that shares tables, revisioned streams and states with the SDK: URI SCOPE NAME VERB [ARGUMENT...].
 */
public class Shared {
    private final ClientConfig config;
    private final String scope;
    private final String name;
    private final ScheduledExecutorService executor = Executors.newScheduledThreadPool(2);
    /** A file, because the client logs to stdout. */
    private final PrintStream out;

    Shared(String uri, String scope, String name) throws Exception {
        OutputStream file = Files.newOutputStream(Path.of(System.getenv("PEER_OUTPUT")));
        this.out = new PrintStream(new BufferedOutputStream(file), false, StandardCharsets.UTF_8);
        this.config = ClientConfig.builder().controllerURI(URI.create(uri)).build();
        this.scope = scope;
        this.name = name;
    }

    public static void main(String[] a) throws Exception {
        Shared shared = new Shared(a[0], a[1], a[2]);
        switch (a[3]) {
            case "append" -> shared.append(a[4], Integer.parseInt(a[5]), Integer.parseInt(a[6]));
            case "state" -> shared.state();
            case "entries" -> shared.entries(a[4]);
            case "write" -> shared.write(a[4], a[5]);
            case "mark" -> shared.mark(a[4], a[5]);
            case "create-table" -> shared.createTable(Integer.parseInt(a[4]));
            case "put" -> shared.put(Path.of(a[4]));
            case "table" -> shared.table();
            default -> throw new IllegalArgumentException(a[3]);
        }
        shared.out.flush();
        System.exit(0);
    }

    /** The lines that all clients have appended. */
    static class Log implements Revisioned {
        final String stream;
        final Revision revision;
        final List<String> lines;

        Log(String stream, Revision revision, List<String> lines) {
            this.stream = stream;
            this.revision = revision;
            this.lines = lines;
        }

        @Override
        public String getScopedStreamName() {
            return stream;
        }

        @Override
        public Revision getRevision() {
            return revision;
        }
    }

    static class Initial implements InitialUpdate<Log> {
        final List<String> lines;

        Initial(List<String> lines) {
            this.lines = lines;
        }

        @Override
        public Log create(String stream, Revision revision) {
            return new Log(stream, revision, new ArrayList<>(lines));
        }
    }

    static class Append implements Update<Log> {
        final String line;

        Append(String line) {
            this.line = line;
        }

        @Override
        public Log applyTo(Log log, Revision revision) {
            List<String> lines = new ArrayList<>(log.lines);
            lines.add(line);
            return new Log(log.stream, revision, lines);
        }
    }

    /** The layout of the SDK's test state. The buffer is longer than its content, as those of Java often are. */
    static class InitialSerializer implements Serializer<Initial> {
        @Override
        public ByteBuffer serialize(Initial initial) {
            int length = initial.lines.stream().mapToInt(line -> 4 + line.getBytes(StandardCharsets.UTF_8).length).sum();
            ByteBuffer bytes = ByteBuffer.allocate(4 + length + 37);
            bytes.putInt(initial.lines.size());
            for (String line : initial.lines) {
                byte[] text = line.getBytes(StandardCharsets.UTF_8);
                bytes.putInt(text.length).put(text);
            }
            bytes.flip();
            return bytes;
        }

        @Override
        public Initial deserialize(ByteBuffer bytes) {
            List<String> lines = new ArrayList<>();
            for (int left = bytes.getInt(); left > 0; left--) {
                byte[] text = new byte[bytes.getInt()];
                bytes.get(text);
                lines.add(new String(text, StandardCharsets.UTF_8));
            }
            return new Initial(lines);
        }
    }

    static class AppendSerializer implements Serializer<Append> {
        @Override
        public ByteBuffer serialize(Append append) {
            return ByteBuffer.wrap(append.line.getBytes(StandardCharsets.UTF_8));
        }

        @Override
        public Append deserialize(ByteBuffer bytes) {
            return new Append(text(bytes));
        }
    }

    private static String text(ByteBuffer bytes) {
        return StandardCharsets.UTF_8.decode(bytes.duplicate()).toString();
    }

    private static ByteBuffer bytes(String text) {
        return ByteBuffer.wrap(text.getBytes(StandardCharsets.UTF_8));
    }

    private SynchronizerClientFactory factory() {
        return SynchronizerClientFactory.withScope(scope, config);
    }

    private StateSynchronizer<Log> synchronizer(SynchronizerClientFactory factory) {
        StateSynchronizer<Log> log = factory.createStateSynchronizer(
                name, new AppendSerializer(), new InitialSerializer(), SynchronizerConfig.builder().build());
        log.initialize(new Initial(List.of()));
        return log;
    }

    private void print(StateSynchronizer<Log> log) {
        log.fetchUpdates();
        log.getState().lines.forEach(out::println);
    }

    /** Appends lines, two in every fifth update, compacts after a number of them, and prints the state. */
    private void append(String prefix, int count, int compactAfter) {
        try (SynchronizerClientFactory factory = factory(); StateSynchronizer<Log> log = synchronizer(factory)) {
            for (int number = 0; number < count; ) {
                List<Append> lines = new ArrayList<>();
                for (int more = number % 5 == 0 && number + 1 < count ? 2 : 1; more > 0; more--) {
                    lines.add(new Append(prefix + ":" + number++));
                }
                log.updateState((state, updates) -> {
                    updates.addAll(lines);
                });
                if (number % compactAfter == 0) {
                    log.compact(state -> new Initial(state.lines));
                }
            }
            print(log);
        }
    }

    private void state() {
        try (SynchronizerClientFactory factory = factory(); StateSynchronizer<Log> log = synchronizer(factory)) {
            print(log);
        }
    }

    private RevisionedStreamClient<String> revisioned(SynchronizerClientFactory factory) {
        return factory.createRevisionedStreamClient(
                name, new UTF8StringSerializer(), SynchronizerConfig.builder().build());
    }

    /** Prints the entries after a revision, and their revisions. */
    private void entries(String from) {
        try (SynchronizerClientFactory factory = factory(); RevisionedStreamClient<String> stream = revisioned(factory)) {
            stream.readFrom(Revision.fromString(from)).forEachRemaining(
                    entry -> out.println(entry.getKey() + "\t" + entry.getValue()));
        }
    }

    /** Writes at a revision, and prints that of the entry, or that it was refused. */
    private void write(String at, String value) {
        try (SynchronizerClientFactory factory = factory(); RevisionedStreamClient<String> stream = revisioned(factory)) {
            Revision written = stream.writeConditionally(Revision.fromString(at), value);
            out.println(written == null ? "refused" : written.toString());
        }
    }

    /** Prints the mark, and changes it from one revision to another; "none" is no revision. */
    private void mark(String expected, String mark) {
        try (SynchronizerClientFactory factory = factory(); RevisionedStreamClient<String> stream = revisioned(factory)) {
            out.println(stream.getMark() == null ? "none" : stream.getMark().toString());
            Revision from = expected.equals("none") ? null : Revision.fromString(expected);
            Revision to = mark.equals("none") ? null : Revision.fromString(mark);
            out.println(stream.compareAndSetMark(from, to) ? "set" : "refused");
        }
    }

    private void createTable(int partitions) throws Exception {
        try (KeyValueTableManager manager = KeyValueTableManager.create(config)) {
            out.println(manager.createKeyValueTable(scope, name, KeyValueTableConfiguration.builder()
                    .partitionCount(partitions).primaryKeyLength(4).secondaryKeyLength(2).build()));
        }
    }

    private KeyValueTable keyValueTable(KeyValueTableFactory factory) {
        return factory.forKeyValueTable(name, KeyValueTableClientConfiguration.builder().build());
    }

    /** Puts lines of primary key, secondary key, value and version, and prints the new version or that it was refused. */
    private void put(Path file) throws Exception {
        try (KeyValueTableFactory factory = KeyValueTableFactory.withScope(scope, config);
                KeyValueTable table = keyValueTable(factory)) {
            for (String line : Files.readAllLines(file)) {
                String[] parts = line.split("\t", -1);
                TableKey key = new TableKey(bytes(parts[0]), bytes(parts[1]));
                try {
                    Put put = new Put(key, bytes(parts[2]), Version.fromString(parts[3]));
                    out.println(table.update(put).join());
                } catch (Exception refused) {
                    out.println("refused");
                }
            }
        }
    }

    /** Prints all entries: primary key, secondary key, value, version. */
    private void table() throws Exception {
        try (KeyValueTableFactory factory = KeyValueTableFactory.withScope(scope, config);
                KeyValueTable table = keyValueTable(factory)) {
            table.iterator().maxIterationSize(7).all().entries().forEachRemaining(page ->
                    page.getItems().forEach(entry -> out.println(String.join("\t",
                            text(entry.getKey().getPrimaryKey()), text(entry.getKey().getSecondaryKey()),
                            text(entry.getValue()), entry.getVersion().toString()))), executor).join();
        }
    }
}
