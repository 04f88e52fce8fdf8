import io.pravega.client.BatchClientFactory;
import io.pravega.client.ByteStreamClientFactory;
import io.pravega.client.ClientConfig;
import io.pravega.client.EventStreamClientFactory;
import io.pravega.client.admin.ReaderGroupManager;
import io.pravega.client.admin.StreamInfo;
import io.pravega.client.admin.StreamManager;
import io.pravega.client.batch.SegmentIterator;
import io.pravega.client.batch.SegmentRange;
import io.pravega.client.byteStream.ByteStreamReader;
import io.pravega.client.byteStream.ByteStreamWriter;
import io.pravega.client.stream.EventRead;
import io.pravega.client.stream.EventStreamReader;
import io.pravega.client.stream.EventStreamWriter;
import io.pravega.client.stream.EventWriterConfig;
import io.pravega.client.stream.ReaderConfig;
import io.pravega.client.stream.ReaderGroupConfig;
import io.pravega.client.stream.Stream;
import io.pravega.client.stream.StreamCut;
import io.pravega.client.stream.Transaction;
import io.pravega.client.stream.TransactionalEventStreamWriter;
import io.pravega.client.stream.impl.UTF8StringSerializer;
import java.io.BufferedOutputStream;
import java.io.OutputStream;
import java.io.PrintStream;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.UUID;

/**
 * A program that shares streams with the SDK: URI SCOPE STREAM VERB [ARGUMENT...]. A line of a file is key, tab, event.
 */
public class Peer {
    private final ClientConfig config;
    private final String scope;
    private final String stream;
    /** A file, because the client logs to stdout. */
    private final PrintStream out;

    Peer(String uri, String scope, String stream) throws Exception {
        OutputStream file = Files.newOutputStream(Path.of(System.getenv("PEER_OUTPUT")));
        this.out = new PrintStream(new BufferedOutputStream(file), false, StandardCharsets.UTF_8);
        this.config = ClientConfig.builder().controllerURI(URI.create(uri)).build();
        this.scope = scope;
        this.stream = stream;
    }

    public static void main(String[] a) throws Exception {
        Peer peer = new Peer(a[0], a[1], a[2]);
        switch (a[3]) {
            case "write" -> peer.write(Path.of(a[4]));
            case "read" -> peer.read(a[4], Integer.parseInt(a[5]));
            case "batch" -> peer.batch(a[4], a[5]);
            case "cuts" -> peer.cuts();
            case "transactions" -> peer.transactions(Path.of(a[4]), Integer.parseInt(a[5]));
            case "resume" -> peer.resume(UUID.fromString(a[4]), Path.of(a[5]));
            case "leave-open" -> peer.leaveOpen(Path.of(a[4]));
            case "write-bytes" -> peer.writeBytes(Path.of(a[4]));
            case "read-bytes" -> peer.readBytes(Long.parseLong(a[4]), Path.of(a[5]));
            default -> throw new IllegalArgumentException(a[3]);
        }
        peer.out.flush();
        System.exit(0);
    }

    private EventStreamClientFactory factory() {
        return EventStreamClientFactory.withScope(scope, config);
    }

    private static List<String[]> lines(Path file) throws Exception {
        return Files.readAllLines(file).stream().map(line -> line.split("\t", 2)).toList();
    }

    private void write(Path file) throws Exception {
        try (EventStreamClientFactory factory = factory();
                EventStreamWriter<String> writer = factory.createEventWriter(
                        stream, new UTF8StringSerializer(), EventWriterConfig.builder().build())) {
            for (String[] line : lines(file)) {
                writer.writeEvent(line[0], line[1]);
            }
            writer.flush();
        }
    }

    /** Prints the events after a cut, through a reader group. */
    private void read(String from, int count) {
        String group = "java-" + UUID.randomUUID();
        try (ReaderGroupManager groups = ReaderGroupManager.withScope(scope, config); EventStreamClientFactory factory = factory()) {
            groups.createReaderGroup(group, ReaderGroupConfig.builder()
                    .stream(Stream.of(scope, stream), StreamCut.from(from))
                    // Java's readers acquire the successors of a segment at a checkpoint.
                    .automaticCheckpointIntervalMillis(500).groupRefreshTimeMillis(500).build());
            try (EventStreamReader<String> reader = factory.createReader(
                    "reader", group, new UTF8StringSerializer(), ReaderConfig.builder().build())) {
                for (int read = 0; read < count; ) {
                    EventRead<String> event = reader.readNextEvent(2000);
                    if (event.getEvent() != null) {
                        out.println(event.getEvent());
                        read++;
                    }
                }
            }
        }
    }

    /** Prints events between two cuts, segment by segment. */
    private void batch(String from, String to) {
        try (BatchClientFactory factory = BatchClientFactory.withScope(scope, config)) {
            var segments = factory.getSegments(Stream.of(scope, stream), StreamCut.from(from), StreamCut.from(to));
            for (var all = segments.getIterator(); all.hasNext(); ) {
                SegmentRange range = all.next();
                try (SegmentIterator<String> events = factory.readSegment(range, new UTF8StringSerializer())) {
                    while (events.hasNext()) {
                        out.println(events.next());
                    }
                }
            }
        }
    }

    private void cuts() {
        try (StreamManager streams = StreamManager.create(config)) {
            StreamInfo info = streams.fetchStreamInfo(scope, stream).join();
            out.println(info.getHeadStreamCut().asText());
            out.println(info.getTailStreamCut().asText());
        }
    }

    private TransactionalEventStreamWriter<String> transactional(EventStreamClientFactory factory) {
        EventWriterConfig settings = EventWriterConfig.builder().transactionTimeoutTime(30_000).build();
        return factory.createTransactionalEventWriter("java", stream, new UTF8StringSerializer(), settings);
    }

    /** Writes transactions of a given number of events; every third one is aborted. */
    private void transactions(Path file, int size) throws Exception {
        List<String[]> lines = lines(file);
        try (EventStreamClientFactory factory = factory(); TransactionalEventStreamWriter<String> writer = transactional(factory)) {
            for (int start = 0, number = 1; start < lines.size(); start += size, number++) {
                Transaction<String> transaction = writer.beginTxn();
                for (String[] line : lines.subList(start, Math.min(start + size, lines.size()))) {
                    transaction.writeEvent(line[0], line[1]);
                }
                if (number % 3 == 0) {
                    transaction.abort();
                } else {
                    transaction.commit();
                    while (transaction.checkStatus() != Transaction.Status.COMMITTED) {
                        Thread.sleep(20);
                    }
                }
            }
        }
    }

    private void resume(UUID id, Path file) throws Exception {
        try (EventStreamClientFactory factory = factory(); TransactionalEventStreamWriter<String> writer = transactional(factory)) {
            Transaction<String> transaction = writer.getTxn(id);
            for (String[] line : lines(file)) {
                transaction.writeEvent(line[0], line[1]);
            }
            transaction.commit();
        }
    }

    /** Begins a transaction, writes to it, and prints its id. */
    private void leaveOpen(Path file) throws Exception {
        EventStreamClientFactory factory = factory();
        Transaction<String> transaction = transactional(factory).beginTxn();
        for (String[] line : lines(file)) {
            transaction.writeEvent(line[0], line[1]);
        }
        transaction.flush();
        out.println(transaction.getTxnId());
    }

    private void writeBytes(Path file) throws Exception {
        try (ByteStreamClientFactory factory = ByteStreamClientFactory.withScope(scope, config);
                ByteStreamWriter writer = factory.createByteStreamWriter(stream)) {
            writer.write(Files.readAllBytes(file));
            writer.flush();
        }
    }

    private void readBytes(long count, Path file) throws Exception {
        try (ByteStreamClientFactory factory = ByteStreamClientFactory.withScope(scope, config);
                ByteStreamReader reader = factory.createByteStreamReader(stream);
                OutputStream to = new BufferedOutputStream(Files.newOutputStream(file))) {
            byte[] piece = new byte[64 * 1024];
            for (long left = count; left > 0; ) {
                int read = reader.read(piece, 0, (int) Math.min(piece.length, left));
                to.write(piece, 0, read);
                left -= read;
            }
        }
    }
}
