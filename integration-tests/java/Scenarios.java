import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.pravega.client.BatchClientFactory;
import io.pravega.client.ByteStreamClientFactory;
import io.pravega.client.ClientConfig;
import io.pravega.client.EventStreamClientFactory;
import io.pravega.client.KeyValueTableFactory;
import io.pravega.client.admin.KeyValueTableManager;
import io.pravega.client.admin.ReaderGroupManager;
import io.pravega.client.admin.StreamManager;
import io.pravega.client.batch.SegmentIterator;
import io.pravega.client.batch.SegmentRange;
import io.pravega.client.byteStream.ByteStreamReader;
import io.pravega.client.byteStream.ByteStreamWriter;
import io.pravega.client.control.impl.Controller;
import io.pravega.client.control.impl.ControllerImpl;
import io.pravega.client.control.impl.ControllerImplConfig;
import io.pravega.client.stream.Checkpoint;
import io.pravega.client.stream.EventRead;
import io.pravega.client.stream.EventStreamReader;
import io.pravega.client.stream.EventStreamWriter;
import io.pravega.client.stream.EventWriterConfig;
import io.pravega.client.stream.ReaderConfig;
import io.pravega.client.stream.ReaderGroup;
import io.pravega.client.stream.ReaderGroupConfig;
import io.pravega.client.stream.ScalingPolicy;
import io.pravega.client.stream.Stream;
import io.pravega.client.stream.StreamConfiguration;
import io.pravega.client.stream.StreamCut;
import io.pravega.client.stream.TimeWindow;
import io.pravega.client.stream.Transaction;
import io.pravega.client.stream.TransactionalEventStreamWriter;
import io.pravega.client.stream.impl.UTF8StringSerializer;
import io.pravega.client.tables.Insert;
import io.pravega.client.tables.IteratorItem;
import io.pravega.client.tables.KeyValueTable;
import io.pravega.client.tables.KeyValueTableClientConfiguration;
import io.pravega.client.tables.KeyValueTableConfiguration;
import io.pravega.client.tables.Put;
import io.pravega.client.tables.Remove;
import io.pravega.client.tables.TableEntry;
import io.pravega.client.tables.TableKey;
import io.pravega.client.tables.Version;
import io.pravega.shared.security.auth.Credentials;
import io.pravega.shared.security.auth.DefaultCredentials;
import java.net.URI;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/**
 * What the Java client does with a server: URI [PART]. Whatever does not hold ends it. The parts:
 *
 * features: each feature once; the default.
 * full: fills a server that has a limit, in the scope "java".
 * accounts: what the accounts "admin", which may do everything, and "reader", which may read the scope "open" and
 * no other, can do, both with the password that PEER_PASSWORD has. With "groups" after it, the right to read is
 * enough for a reader group, as with the defaults of a controller; with "streams" it is not, as on a standalone server.
 *
 * PEER_TRUST_STORE is the file with the certificate of a server with TLS. The account of the other parts is in the
 * variables that the client reads by itself.
 */
public class Scenarios {
    private final ClientConfig config;
    private final ScheduledExecutorService executor = Executors.newScheduledThreadPool(2);
    private final UTF8StringSerializer text = new UTF8StringSerializer();
    private final String scope;

    Scenarios(String uri, Credentials credentials, String scope) {
        this.scope = scope;
        this.config = ClientConfig.builder().controllerURI(URI.create(uri)).credentials(credentials)
                .trustStore(System.getenv("PEER_TRUST_STORE")).build();
    }

    interface Scenario {
        void run() throws Exception;
    }

    public static void main(String[] arguments) {
        try {
            run(arguments);
        } catch (Throwable failed) {
            failed.printStackTrace();
            // The threads of the client would go on.
            System.exit(1);
        }
        System.err.println("all scenarios hold");
        System.exit(0);
    }

    private static void run(String[] arguments) throws Exception {
        String uri = arguments[0];
        switch (arguments.length > 1 ? arguments[1] : "features") {
            case "features" -> new Scenarios(uri, null, "java" + System.nanoTime()).features();
            case "full" -> {
                Scenarios full = new Scenarios(uri, null, "java");
                full.step("a full server", full::full);
            }
            case "accounts" -> accounts(uri, arguments[2].equals("groups"));
            default -> throw new IllegalArgumentException(arguments[1]);
        }
    }

    private void features() throws Exception {
        step("administration", this::administration);
        step("events, a reader group, checkpoints and a scale", this::readerGroup);
        step("transactions", this::transactions);
        step("byte streams", this::byteStreams);
        step("key-value tables", this::tables);
        step("batch reads", this::batchReads);
        step("watermarks", this::watermarks);
        step("truncation, sealing, deletion", this::endings);
    }

    private static void step(String name, Scenario scenario) throws Exception {
        long begun = System.nanoTime();
        scenario.run();
        System.err.printf("holds: %s (%d ms)%n", name, (System.nanoTime() - begun) / 1_000_000);
    }

    private static void check(boolean holds, String what) {
        if (!holds) {
            throw new IllegalStateException("it does not hold that " + what);
        }
    }

    private void stream(String name, int segments) {
        try (StreamManager manager = StreamManager.create(config)) {
            manager.createScope(scope);
            check(manager.createStream(scope, name,
                    StreamConfiguration.builder().scalingPolicy(ScalingPolicy.fixed(segments)).build()),
                    name + " was made");
        }
    }

    /** A write and a flush wait for space, and end once there is some. */
    private void full() throws Exception {
        stream("full", 1);
        try (EventStreamClientFactory factory = factory();
                EventStreamWriter<String> writer =
                        factory.createEventWriter("full", text, EventWriterConfig.builder().build())) {
            String event = "x".repeat(100_000);
            for (int number = 0; number < 1000; number++) {
                CompletableFuture<Void> write = writer.writeEvent("key", event);
                try {
                    write.get(3, TimeUnit.SECONDS);
                } catch (TimeoutException e) {
                    // The test makes space when it sees the file.
                    Files.createFile(Path.of("full"));
                    writer.flush();
                    write.get(1, TimeUnit.SECONDS);
                    writer.writeEvent("key", event).get(60, TimeUnit.SECONDS);
                    return;
                }
            }
            check(false, "a server with a limit is full at some time");
        }
    }

    private EventStreamClientFactory factory() {
        return EventStreamClientFactory.withScope(scope, config);
    }

    private void write(String stream, int from, int to) throws Exception {
        write(stream, from, to, EventWriterConfig.builder().build());
    }

    private void write(String stream, int from, int to, EventWriterConfig settings) throws Exception {
        try (EventStreamClientFactory factory = factory();
                EventStreamWriter<String> writer = factory.createEventWriter(stream, text, settings)) {
            List<CompletableFuture<Void>> written = new ArrayList<>();
            for (int number = from; number < to; number++) {
                String key = "key" + number % 10;
                written.add(writer.writeEvent(key, key + ":" + number));
            }
            writer.flush();
            for (CompletableFuture<Void> one : written) {
                one.get(30, TimeUnit.SECONDS);
            }
        }
    }

    private void administration() {
        try (StreamManager manager = StreamManager.create(config)) {
            check(manager.createScope(scope), "the scope is new");
            check(!manager.createScope(scope), "it is there by now");
            check(manager.checkScopeExists(scope), "it exists");
            StreamConfiguration tagged = StreamConfiguration.builder()
                    .scalingPolicy(ScalingPolicy.fixed(2)).tag("one").tag("two").build();
            check(manager.createStream(scope, "tagged", tagged), "the stream is new");
            check(!manager.createStream(scope, "tagged", tagged), "it is there by now");
            check(manager.getStreamTags(scope, "tagged").size() == 2, "it has two tags");
            check(manager.updateStream(scope, "tagged", StreamConfiguration.builder()
                    .scalingPolicy(ScalingPolicy.fixed(2)).tag("three").build()), "it is updated");
            List<String> found = new ArrayList<>();
            manager.listStreams(scope, "three").forEachRemaining(stream -> found.add(stream.getStreamName()));
            check(found.equals(List.of("tagged")), "it is found by its tag");
            check(manager.fetchStreamInfo(scope, "tagged").join().getTailStreamCut() != null, "it has a tail");
        }
    }

    /** Reads a given number of events and groups them by key. */
    private void read(EventStreamReader<String> reader, int count, Map<String, List<Integer>> keys) {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(60);
        for (int seen = 0; seen < count;) {
            check(System.nanoTime() < deadline, "all events come within a minute: " + seen + " of " + count);
            EventRead<String> read = reader.readNextEvent(1000);
            if (read.getEvent() != null) {
                String[] parts = read.getEvent().split(":");
                keys.computeIfAbsent(parts[0], key -> new ArrayList<>()).add(Integer.parseInt(parts[1]));
                seen++;
            }
        }
    }

    private static void checkOrder(Map<String, List<Integer>> keys, int from, int to) {
        int count = 0;
        for (List<Integer> numbers : keys.values()) {
            List<Integer> sorted = new ArrayList<>(numbers);
            Collections.sort(sorted);
            check(sorted.equals(numbers), "the events of a key are in order");
            count += numbers.size();
            check(numbers.get(0) >= from && numbers.get(numbers.size() - 1) < to, "no others came");
        }
        check(count == to - from, "each came once");
    }

    private void scale(String stream, List<Long> sealed, Map<Double, Double> ranges) throws Exception {
        try (Controller controller = new ControllerImpl(
                ControllerImplConfig.builder().clientConfig(config).build(), executor)) {
            check(controller.scaleStream(Stream.of(scope, stream), sealed, ranges, executor).getFuture()
                    .get(60, TimeUnit.SECONDS), "the scale was done");
        }
    }

    private void readerGroup() throws Exception {
        stream("events", 1);
        write("events", 0, 100);
        try (ReaderGroupManager groups = ReaderGroupManager.withScope(scope, config);
                EventStreamClientFactory factory = factory()) {
            groups.createReaderGroup("group", ReaderGroupConfig.builder().stream(Stream.of(scope, "events"))
                    .automaticCheckpointIntervalMillis(2000).groupRefreshTimeMillis(1000).build());
            ReaderGroup group = groups.getReaderGroup("group");
            Map<String, List<Integer>> keys = new TreeMap<>();
            EventStreamReader<String> reader =
                    factory.createReader("reader", "group", text, ReaderConfig.builder().build());
            read(reader, 100, keys);
            CompletableFuture<Checkpoint> checkpoint = group.initiateCheckpoint("here", executor);
            while (!checkpoint.isDone()) {
                reader.readNextEvent(500);
            }
            scale("events", List.of(0L), Map.of(0.0, 0.5, 0.5, 1.0));
            write("events", 100, 300);
            read(reader, 200, keys);
            checkOrder(keys, 0, 300);
            check(!group.generateStreamCuts(executor).isCancelled(), "cuts are made");

            // A second reader shares the remaining events.
            EventStreamReader<String> second =
                    factory.createReader("second", "group", text, ReaderConfig.builder().build());
            long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(60);
            while (group.getOnlineReaders().size() < 2) {
                check(System.nanoTime() < deadline, "two readers are online");
                reader.readNextEvent(100);
                second.readNextEvent(100);
            }
            reader.close();
            second.close();

            // After a reset to the checkpoint, all events after it are read again.
            group.resetReaderGroup(ReaderGroupConfig.builder().startFromCheckpoint(checkpoint.get()).build());
            EventStreamReader<String> again =
                    factory.createReader("again", "group", text, ReaderConfig.builder().build());
            Map<String, List<Integer>> replayed = new TreeMap<>();
            read(again, 200, replayed);
            checkOrder(replayed, 100, 300);
            again.close();
            groups.deleteReaderGroup("group");
        }
    }

    private void transactions() throws Exception {
        stream("transactions", 2);
        try (EventStreamClientFactory factory = factory();
                TransactionalEventStreamWriter<String> writer = factory.createTransactionalEventWriter(
                        "writer", "transactions", text, EventWriterConfig.builder().build())) {
            Transaction<String> kept = writer.beginTxn();
            Transaction<String> dropped = writer.beginTxn();
            for (int number = 0; number < 50; number++) {
                kept.writeEvent("key" + number % 5, "key" + number % 5 + ":" + number);
                dropped.writeEvent("key" + number % 5, "dropped:" + number);
            }
            dropped.abort();
            // After a scale the commit has to roll.
            scale("transactions", List.of(0L, 1L), Map.of(0.0, 1.0 / 3, 1.0 / 3, 2.0 / 3, 2.0 / 3, 1.0));
            kept.commit();
            long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(60);
            while (kept.checkStatus() != Transaction.Status.COMMITTED) {
                check(System.nanoTime() < deadline, "the transaction is committed");
                Thread.sleep(50);
            }
            check(dropped.checkStatus() == Transaction.Status.ABORTED
                    || dropped.checkStatus() == Transaction.Status.ABORTING, "the other is aborted");
        }
        readAll("transactions", "committed", 50);
    }

    /** Reads all events of a stream through a new reader group. */
    private void readAll(String stream, String group, int count) {
        try (ReaderGroupManager groups = ReaderGroupManager.withScope(scope, config);
                EventStreamClientFactory factory = factory()) {
            groups.createReaderGroup(group, ReaderGroupConfig.builder()
                    .stream(Stream.of(scope, stream)).automaticCheckpointIntervalMillis(1000)
                    .groupRefreshTimeMillis(1000).build());
            EventStreamReader<String> reader =
                    factory.createReader("reader", group, text, ReaderConfig.builder().build());
            Map<String, List<Integer>> keys = new TreeMap<>();
            read(reader, count, keys);
            checkOrder(keys, 0, count);
            reader.close();
        }
    }

    private void byteStreams() throws Exception {
        stream("bytes", 1);
        byte[] data = new byte[1_000_000];
        for (int at = 0; at < data.length; at++) {
            data[at] = (byte) (at * 31 + at / 251);
        }
        try (ByteStreamClientFactory factory = ByteStreamClientFactory.withScope(scope, config);
                ByteStreamWriter writer = factory.createByteStreamWriter("bytes")) {
            writer.write(data);
            writer.flush();
            check(writer.fetchTailOffset() == data.length, "the tail is not after the written bytes");
            writer.truncateDataBefore(100);
            writer.closeAndSeal();
            try (ByteStreamReader reader = factory.createByteStreamReader("bytes")) {
                check(reader.fetchHeadOffset() == 100, "the head was moved");
                reader.seekToOffset(100);
                byte[] read = reader.readAllBytes();
                check(Arrays.equals(read, Arrays.copyOfRange(data, 100, data.length)), "the bytes are the same");
            }
        }
    }

    private static ByteBuffer bytes(String text) {
        return ByteBuffer.wrap(text.getBytes(StandardCharsets.UTF_8));
    }

    private static String text(ByteBuffer bytes) {
        return StandardCharsets.UTF_8.decode(bytes.duplicate()).toString();
    }

    private void tables() throws Exception {
        try (KeyValueTableManager manager = KeyValueTableManager.create(config);
                KeyValueTableFactory factory = KeyValueTableFactory.withScope(scope, config)) {
            check(manager.createKeyValueTable(scope, "table", KeyValueTableConfiguration.builder()
                    .partitionCount(3).primaryKeyLength(4).secondaryKeyLength(2).build()), "the table was made");
            try (KeyValueTable table =
                    factory.forKeyValueTable("table", KeyValueTableClientConfiguration.builder().build())) {
                Map<String, String> model = new TreeMap<>();
                for (int number = 0; number < 60; number++) {
                    String primary = String.format("p%03d", number % 20);
                    String secondary = String.format("%02d", number / 20);
                    table.update(new Insert(new TableKey(bytes(primary), bytes(secondary)), bytes("v" + number)))
                            .get(30, TimeUnit.SECONDS);
                    model.put(primary + secondary, "v" + number);
                }
                TableKey key = new TableKey(bytes("p001"), bytes("00"));
                TableEntry found = table.get(key).get(30, TimeUnit.SECONDS);
                check(text(found.getValue()).equals("v1"), "a value is found");
                Version version = table.update(new Put(key, bytes("changed"), found.getVersion())).get();
                model.put("p00100", "changed");
                boolean refused = false;
                try {
                    table.update(new Put(key, bytes("stale"), found.getVersion())).get();
                } catch (Exception expected) {
                    refused = true;
                }
                check(refused, "a version that is old is refused");
                table.update(new Remove(key, version)).get();
                model.remove("p00100");
                check(table.get(key).get() == null, "the entry is gone");
                check(!table.exists(key).get(), "the key does not exist");
                Map<String, String> all = new TreeMap<>();
                table.iterator().maxIterationSize(7).all().entries().forEachRemaining(page ->
                        page.getItems().forEach(entry -> all.put(
                                text(entry.getKey().getPrimaryKey()) + text(entry.getKey().getSecondaryKey()),
                                text(entry.getValue()))), executor).get(60, TimeUnit.SECONDS);
                check(all.equals(model), "an iteration finds all entries");
            }
            check(manager.deleteKeyValueTable(scope, "table"), "the table was deleted");
        }
    }

    private void batchReads() throws Exception {
        stream("batch", 2);
        write("batch", 0, 100);
        batchRead("batch", 100);
    }

    private void batchRead(String stream, int count) {
        Map<String, List<Integer>> keys = new HashMap<>();
        try (BatchClientFactory factory = BatchClientFactory.withScope(scope, config)) {
            var ranges = factory.getSegments(Stream.of(scope, stream), StreamCut.UNBOUNDED, StreamCut.UNBOUNDED);
            for (var each = ranges.getIterator(); each.hasNext();) {
                SegmentRange range = each.next();
                try (SegmentIterator<String> events = factory.readSegment(range, text)) {
                    while (events.hasNext()) {
                        String[] parts = events.next().split(":");
                        keys.computeIfAbsent(parts[0], key -> new ArrayList<>()).add(Integer.parseInt(parts[1]));
                    }
                }
            }
        }
        checkOrder(keys, 0, count);
    }

    private void watermarks() throws Exception {
        stream("timed", 1);
        try (EventStreamClientFactory factory = factory();
                ReaderGroupManager groups = ReaderGroupManager.withScope(scope, config);
                EventStreamWriter<String> writer =
                        factory.createEventWriter("writer", "timed", text, EventWriterConfig.builder().build())) {
            groups.createReaderGroup("timed-group", ReaderGroupConfig.builder().stream(Stream.of(scope, "timed"))
                    .automaticCheckpointIntervalMillis(1000).groupRefreshTimeMillis(1000).build());
            EventStreamReader<String> reader =
                    factory.createReader("reader", "timed-group", text, ReaderConfig.builder().build());
            long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(90);
            TimeWindow window = null;
            for (long time = 1000; window == null || window.getLowerTimeBound() == null; time += 1000) {
                check(System.nanoTime() < deadline, "the reader hears of a watermark");
                writer.writeEvent("key", "key:" + time).get(30, TimeUnit.SECONDS);
                writer.noteTime(time);
                reader.readNextEvent(1000);
                window = reader.getCurrentTimeWindow(Stream.of(scope, "timed"));
            }
            check(window.getLowerTimeBound() >= 1000, "its time is one that was noted");
            reader.close();
        }
    }

    private void endings() throws Exception {
        try (StreamManager manager = StreamManager.create(config)) {
            StreamCut tail = manager.fetchStreamInfo(scope, "batch").join().getTailStreamCut();
            check(manager.truncateStream(scope, "batch", tail), "the stream was truncated");
            check(manager.fetchStreamInfo(scope, "batch").join().getHeadStreamCut().equals(tail), "its head is its tail");
            check(manager.sealStream(scope, "batch"), "it was sealed");
            check(manager.deleteStream(scope, "batch"), "it was deleted");
            check(!manager.deleteStream(scope, "batch"), "it is gone");
            check(manager.deleteScopeRecursive(scope), "everything is gone");
            check(!manager.checkScopeExists(scope), "the scope too");
        }
    }

    /** The account "reader" may read "open", and do nothing with "closed". */
    private static void accounts(String uri, boolean groupsNeedReading) throws Exception {
        String password = System.getenv("PEER_PASSWORD");
        Credentials admin = new DefaultCredentials(password, "admin");
        Credentials reader = new DefaultCredentials(password, "reader");
        Scenarios open = new Scenarios(uri, admin, "open");
        step("an account with all rights", () -> {
            for (Scenarios scenarios : List.of(open, new Scenarios(uri, admin, "closed"))) {
                scenarios.stream("events", 1);
                scenarios.write("events", 0, 100);
                // With accounts, the Java server refuses every token of a table, so it is not changed here.
                scenarios.createTable("table");
            }
        });
        Scenarios reading = new Scenarios(uri, reader, "open");
        step("an account with the right to read", () -> {
            if (groupsNeedReading) {
                reading.readAll("events", "group", 100);
            }
            reading.batchRead("events", 100);
            reading.checkRefused(Status.Code.PERMISSION_DENIED, reading.changes());
            open.readAll("events", "other", 100);
        });
        step("an account without a right on the scope", () -> {
            Scenarios elsewhere = new Scenarios(uri, reader, "closed");
            elsewhere.checkRefused(Status.Code.PERMISSION_DENIED, elsewhere.changes());
            elsewhere.checkRefused(Status.Code.PERMISSION_DENIED, elsewhere.reads());
        });
        step("a wrong password, a wrong name, no account", () -> {
            Credentials wrong = new DefaultCredentials("not" + password, "admin");
            Credentials unknown = new DefaultCredentials(password, "unknown");
            for (Credentials credentials : Arrays.asList(wrong, unknown, null)) {
                Scenarios refused = new Scenarios(uri, credentials, "open");
                refused.checkRefused(Status.Code.UNAUTHENTICATED, refused.changes());
                refused.checkRefused(Status.Code.UNAUTHENTICATED, refused.reads());
            }
        });
    }

    private Map<String, Scenario> changes() {
        Map<String, Scenario> all = new TreeMap<>();
        // A writer tries again after every failure, for minutes by default, and one of bytes forever.
        EventWriterConfig hasty = EventWriterConfig.builder().retryAttempts(3).maxBackoffMillis(100).build();
        all.put("writing events", () -> write("events", 100, 101, hasty));
        all.put("creating a table", () -> createTable("another"));
        all.put("changing a table", () -> changeTable("table"));
        all.put("beginning a transaction", () -> {
            try (EventStreamClientFactory factory = factory();
                    TransactionalEventStreamWriter<String> writer = factory.createTransactionalEventWriter(
                            "writer", "events", text, EventWriterConfig.builder().build())) {
                writer.beginTxn();
            }
        });
        all.put("creating a scope", () -> managed(manager -> manager.createScope("another")));
        all.put("creating a stream", () -> managed(manager ->
                manager.createStream(scope, "another", StreamConfiguration.builder().build())));
        all.put("sealing a stream", () -> managed(manager -> manager.sealStream(scope, "events")));
        all.put("deleting a stream", () -> managed(manager -> manager.deleteStream(scope, "events")));
        return all;
    }

    private Map<String, Scenario> reads() {
        Map<String, Scenario> all = new TreeMap<>();
        all.put("reading events", () -> readAll("events", "refused", 100));
        all.put("reading events in batches", () -> batchRead("events", 100));
        all.put("listing streams", () -> managed(manager -> manager.listStreams(scope).hasNext()));
        all.put("asking for a scope", () -> managed(manager -> manager.checkScopeExists(scope)));
        all.put("asking for the ends of a stream", () -> managed(manager ->
                manager.fetchStreamInfo(scope, "events").get(30, TimeUnit.SECONDS)));
        return all;
    }

    interface Managed {
        void run(StreamManager manager) throws Exception;
    }

    private void managed(Managed call) throws Exception {
        try (StreamManager manager = StreamManager.create(config)) {
            call.run(manager);
        }
    }

    private void createTable(String name) {
        try (KeyValueTableManager manager = KeyValueTableManager.create(config)) {
            check(manager.createKeyValueTable(scope, name, KeyValueTableConfiguration.builder()
                    .partitionCount(1).primaryKeyLength(4).build()), name + " was made");
        }
    }

    private void changeTable(String name) throws Exception {
        try (KeyValueTableFactory factory = KeyValueTableFactory.withScope(scope, config);
                KeyValueTable table =
                        factory.forKeyValueTable(name, KeyValueTableClientConfiguration.builder().build())) {
            table.update(new Put(new TableKey(bytes("key0")), bytes("value"))).get(30, TimeUnit.SECONDS);
        }
    }

    /** Each call fails soon, with the status that the client's own errors have. */
    private void checkRefused(Status.Code code, Map<String, Scenario> calls) throws Exception {
        for (Map.Entry<String, Scenario> call : calls.entrySet()) {
            Future<?> answer = executor.submit(() -> {
                call.getValue().run();
                return null;
            });
            Status status = null;
            try {
                answer.get(30, TimeUnit.SECONDS);
            } catch (ExecutionException failed) {
                for (Throwable cause = failed; status == null; cause = cause.getCause()) {
                    if (cause == null) {
                        throw failed;
                    }
                    if (cause instanceof StatusRuntimeException refusal) {
                        status = refusal.getStatus();
                    }
                }
            } catch (TimeoutException late) {
                check(false, call.getKey() + " in " + scope + " ends");
            }
            check(status != null && status.getCode() == code,
                    call.getKey() + " in " + scope + " is refused with " + code + " and not " + status);
        }
    }
}
