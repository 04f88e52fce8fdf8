import io.pravega.client.ByteStreamClientFactory;
import io.pravega.client.ClientConfig;
import io.pravega.client.EventStreamClientFactory;
import io.pravega.client.KeyValueTableFactory;
import io.pravega.client.admin.ReaderGroupManager;
import io.pravega.client.admin.StreamManager;
import io.pravega.client.byteStream.ByteStreamReader;
import io.pravega.client.byteStream.ByteStreamWriter;
import io.pravega.client.stream.EventStreamReader;
import io.pravega.client.stream.EventStreamWriter;
import io.pravega.client.stream.EventWriterConfig;
import io.pravega.client.stream.ReaderConfig;
import io.pravega.client.stream.ReaderGroupConfig;
import io.pravega.client.stream.Stream;
import io.pravega.client.stream.StreamCut;
import io.pravega.client.stream.impl.ByteArraySerializer;
import io.pravega.client.tables.KeyValueTable;
import io.pravega.client.tables.KeyValueTableClientConfiguration;
import io.pravega.client.tables.Put;
import io.pravega.client.tables.TableKey;
import java.net.URI;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Semaphore;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicLongArray;
import java.util.concurrent.locks.LockSupport;

/**
 * The counterpart that uses the Java client: URI SCOPE STREAM MODE SIZE SECONDS MAX_BYTES KEYS RATE CALLERS. It warms
 * up, says ready, waits for a line, works, prints its figures, and waits for another line before it ends.
 */
public class Worker {
    static final int SUB = 32;
    static final AtomicLongArray BUCKETS = new AtomicLongArray(64 * SUB);
    static final AtomicLong DONE = new AtomicLong();

    static int bucket(long value) {
        if (value < SUB) {
            return (int) value;
        }
        int shift = 63 - Long.numberOfLeadingZeros(value) - 5;
        return (shift + 1) * SUB + (int) ((value >> shift) - SUB);
    }

    static double valueOf(int bucket) {
        if (bucket < SUB) {
            return bucket;
        }
        int shift = bucket / SUB - 1;
        return (bucket % SUB + SUB + 0.5) * Math.pow(2, shift);
    }

    static double percentile(double share) {
        long total = 0;
        for (int i = 0; i < BUCKETS.length(); i++) {
            total += BUCKETS.get(i);
        }
        long wanted = (long) Math.ceil(total * share);
        long seen = 0;
        for (int i = 0; i < BUCKETS.length(); i++) {
            seen += BUCKETS.get(i);
            if (seen >= wanted && seen > 0) {
                return valueOf(i) / 1000.0;
            }
        }
        return 0;
    }

    static void reset() {
        for (int i = 0; i < BUCKETS.length(); i++) {
            BUCKETS.set(i, 0);
        }
        DONE.set(0);
    }

    static CompletableFuture<Void> write(EventStreamWriter<byte[]> writer, byte[] event, String key) {
        return key == null ? writer.writeEvent(event) : writer.writeEvent(key, event);
    }

    /** Writes for the time of the work; returns the seconds from the first write to the last acknowledgement. */
    static double work(EventStreamWriter<byte[]> writer, String mode, int size, double seconds, long maxBytes, int keys, long rate) {
        long start = System.nanoTime();
        long deadline = start + (long) (seconds * 1e9);
        long written = 0;
        String[] names = new String[Math.max(keys, 1)];
        for (int i = 0; i < names.length; i++) {
            names[i] = keys == 0 ? null : "key-" + i;
        }
        while (System.nanoTime() < deadline && written * size < maxBytes) {
            String key = names[(int) (written % names.length)];
            if (mode.equals("rate")) {
                long due = start + written * 1_000_000_000L / rate;
                // As the other counterparts: in steps of a millisecond, without a busy loop.
                while (System.nanoTime() < due) {
                    LockSupport.parkNanos(1_000_000);
                }
            }
            byte[] event = new byte[size];
            long begun = System.nanoTime();
            CompletableFuture<Void> ack = write(writer, event, key);
            CompletableFuture<Void> told = ack.thenRun(() -> {
                BUCKETS.incrementAndGet(bucket(System.nanoTime() - begun));
                DONE.incrementAndGet();
            });
            if (mode.equals("latency")) {
                told.join();
            }
            written++;
        }
        writer.flush();
        while (DONE.get() < written) {
            LockSupport.parkNanos(20_000);
        }
        return (System.nanoTime() - start) / 1e9;
    }

    public static void main(String[] a) throws Exception {
        String mode = a[3];
        int size = Integer.parseInt(a[4]);
        double seconds = Double.parseDouble(a[5]);
        long maxBytes = Long.parseLong(a[6]);
        int keys = Integer.parseInt(a[7]);
        long rate = Long.parseLong(a[8]);
        ClientConfig config = ClientConfig.builder().controllerURI(URI.create(a[0])).build();
        if (mode.startsWith("keyed")) {
            Tables.run(config, a[1], a[2], mode, size, seconds, keys, Integer.parseInt(a[9]));
            System.exit(0);
        }
        try (EventStreamClientFactory factory = EventStreamClientFactory.withScope(a[1], config);
                EventStreamWriter<byte[]> writer = factory.createEventWriter(
                        a[2], new ByteArraySerializer(), EventWriterConfig.builder().build())) {
            if (mode.equals("read") || mode.equals("tail") || mode.startsWith("bytes")) {
                new Reading(factory, config, a[1], a[2], mode, size, maxBytes, keys, rate).run(seconds);
                System.exit(0);
            }
            work(writer, mode, size, Math.max(seconds / 2, 2), maxBytes / 4, keys, rate);
            reset();
            System.out.println("ready");
            System.in.read();
            double took = work(writer, mode, size, seconds, maxBytes, keys, rate);
            System.out.printf(java.util.Locale.ROOT, "{\"events\": %d, \"seconds\": %.6f, \"p50_us\": %.2f, \"p99_us\": %.2f}%n",
                    DONE.get(), took, percentile(0.5), percentile(0.99));
            System.in.read();
        }
        System.exit(0);
    }

    static void report(double took) throws Exception {
        System.out.printf(java.util.Locale.ROOT, "{\"events\": %d, \"seconds\": %.6f, \"p50_us\": %.2f, \"p99_us\": %.2f}%n",
                DONE.get(), took, percentile(0.5), percentile(0.99));
        System.in.read();
    }

    /** Puts, reads and iterates over the entries of a key-value table. */
    record Tables(KeyValueTable table, String mode, ByteBuffer value, int entries, int callers) {
        static void run(ClientConfig config, String scope, String name, String mode, int size, double seconds,
                        int entries, int callers) throws Exception {
            byte[] value = new byte[size];
            Arrays.fill(value, (byte) 'v');
            try (KeyValueTableFactory factory = KeyValueTableFactory.withScope(scope, config);
                    KeyValueTable table = factory.forKeyValueTable(
                            name, KeyValueTableClientConfiguration.builder().build())) {
                Tables tables = new Tables(table, mode, ByteBuffer.wrap(value), entries, callers);
                tables.pass(Math.max(seconds / 2, 2));
                reset();
                System.out.println("ready");
                System.in.read();
                report(tables.pass(seconds));
            }
        }

        double pass(double seconds) throws Exception {
            long start = System.nanoTime();
            long deadline = start + (long) (seconds * 1e9);
            if (mode.equals("keyed-iterate")) {
                while (System.nanoTime() < deadline) {
                    iterate();
                }
            } else if (callers == 1) {
                for (long done = 0; System.nanoTime() < deadline; done++) {
                    long begun = System.nanoTime();
                    call(done).join();
                    count(begun);
                }
            } else {
                CompletableFuture<?>[] chains = new CompletableFuture<?>[callers];
                for (int caller = 0; caller < callers; caller++) {
                    CompletableFuture<Void> ended = new CompletableFuture<>();
                    chains[caller] = ended;
                    chain(caller, deadline, ended);
                }
                CompletableFuture.allOf(chains).join();
            }
            return (System.nanoTime() - start) / 1e9;
        }

        /** A caller that waits for each reply before its next call, without a thread of its own. */
        void chain(long next, long deadline, CompletableFuture<Void> ended) {
            if (System.nanoTime() >= deadline) {
                ended.complete(null);
                return;
            }
            long begun = System.nanoTime();
            call(next).whenComplete((done, failure) -> {
                if (failure != null) {
                    ended.completeExceptionally(failure);
                    return;
                }
                count(begun);
                chain(next + callers, deadline, ended);
            });
        }

        static void count(long begun) {
            BUCKETS.incrementAndGet(bucket(System.nanoTime() - begun));
            DONE.incrementAndGet();
        }

        CompletableFuture<?> call(long number) {
            TableKey key = new TableKey(ByteBuffer.wrap(
                    String.format("key-%08d", number * 7919 % entries).getBytes(StandardCharsets.US_ASCII)));
            if (mode.equals("keyed-put")) {
                return table.update(new Put(key, value.duplicate()));
            }
            return table.get(key).thenAccept(entry -> {
                if (!entry.getValue().hasRemaining()) {
                    throw new IllegalStateException("an entry is missing");
                }
            });
        }

        /** The pages have as many entries as those of this SDK. */
        void iterate() {
            long before = DONE.get();
            table.iterator().maxIterationSize(1000).all().entries().collectRemaining(page -> {
                page.getItems().forEach(entry -> {
                    DONE.incrementAndGet();
                    BUCKETS.incrementAndGet(0);
                });
                return true;
            }).join();
            if (DONE.get() - before != entries) {
                throw new IllegalStateException((DONE.get() - before) + " entries of " + entries);
            }
        }
    }

    /** Reads existing events, events at the tail, or bytes. */
    record Reading(EventStreamClientFactory factory, ClientConfig config, String scope, String stream, String mode,
                   int size, long maxBytes, int keys, long rate) {
        void run(double seconds) throws Exception {
            pass(Math.max(seconds / 2, 1), "warm");
            reset();
            System.out.println("ready");
            System.in.read();
            report(pass(seconds, "hot"));
        }

        double pass(double seconds, String suffix) throws Exception {
            return switch (mode) {
                case "read" -> read(suffix);
                case "tail" -> tail(seconds, suffix);
                case "bytes-write" -> writeBytes();
                default -> readBytes();
            };
        }

        EventStreamReader<byte[]> reader(String suffix, StreamCut from) {
            String group = stream + "-" + suffix;
            try (ReaderGroupManager groups = ReaderGroupManager.withScope(scope, config)) {
                groups.createReaderGroup(group, ReaderGroupConfig.builder()
                        .stream(Stream.of(scope, stream), from).disableAutomaticCheckpoints().build());
            }
            return factory.createReader("reader", group, new ByteArraySerializer(), ReaderConfig.builder().build());
        }

        double read(String suffix) {
            long count = maxBytes / size;
            try (EventStreamReader<byte[]> reader = reader(suffix, StreamCut.UNBOUNDED)) {
                long start = System.nanoTime();
                while (DONE.get() < count) {
                    if (reader.readNextEvent(1000).getEvent() != null) {
                        DONE.incrementAndGet();
                        BUCKETS.incrementAndGet(0);
                    }
                }
                return (System.nanoTime() - start) / 1e9;
            }
        }

        double tail(double seconds, String suffix) throws Exception {
            StreamCut tail;
            try (StreamManager streams = StreamManager.create(config)) {
                tail = streams.fetchStreamInfo(scope, stream).join().getTailStreamCut();
            }
            long total = (long) (seconds * rate);
            try (EventStreamReader<byte[]> reader = reader(suffix, tail);
                    EventStreamWriter<byte[]> writer = factory.createEventWriter(
                            stream, new ByteArraySerializer(), EventWriterConfig.builder().build())) {
                long start = System.nanoTime();
                Thread reading = new Thread(() -> {
                    while (DONE.get() < total) {
                        byte[] event = reader.readNextEvent(1000).getEvent();
                        if (event != null) {
                            BUCKETS.incrementAndGet(bucket(System.nanoTime() - ByteBuffer.wrap(event).getLong()));
                            DONE.incrementAndGet();
                        }
                    }
                });
                reading.start();
                for (long written = 0; written < total; written++) {
                    long due = start + written * 1_000_000_000L / rate;
                    while (System.nanoTime() < due) {
                        LockSupport.parkNanos(1_000_000);
                    }
                    byte[] event = new byte[size];
                    ByteBuffer.wrap(event).putLong(System.nanoTime());
                    write(writer, event, keys == 0 ? null : "key-" + written % keys);
                }
                reading.join();
                return (System.nanoTime() - start) / 1e9;
            }
        }

        double writeBytes() throws Exception {
            long count = maxBytes / size;
            byte[] piece = new byte[size];
            try (ByteStreamClientFactory bytes = ByteStreamClientFactory.withScope(scope, config);
                    ByteStreamWriter writer = bytes.createByteStreamWriter(stream)) {
                long start = System.nanoTime();
                for (; DONE.get() < count; DONE.incrementAndGet()) {
                    writer.write(piece);
                    BUCKETS.incrementAndGet(0);
                }
                writer.flush();
                return (System.nanoTime() - start) / 1e9;
            }
        }

        double readBytes() throws Exception {
            long count = maxBytes / size;
            byte[] piece = new byte[size];
            try (ByteStreamClientFactory bytes = ByteStreamClientFactory.withScope(scope, config);
                    ByteStreamReader reader = bytes.createByteStreamReader(stream)) {
                long start = System.nanoTime();
                for (; DONE.get() < count; DONE.incrementAndGet()) {
                    for (int read = 0; read < size; ) {
                        read += reader.read(piece, read, size - read);
                    }
                    BUCKETS.incrementAndGet(0);
                }
                return (System.nanoTime() - start) / 1e9;
            }
        }
    }
}
