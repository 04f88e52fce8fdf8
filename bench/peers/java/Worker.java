import io.pravega.client.ClientConfig;
import io.pravega.client.EventStreamClientFactory;
import io.pravega.client.stream.EventStreamWriter;
import io.pravega.client.stream.EventWriterConfig;
import io.pravega.client.stream.impl.ByteArraySerializer;
import java.net.URI;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Semaphore;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicLongArray;
import java.util.concurrent.locks.LockSupport;

/**
 * The counterpart that uses the Java client: URI SCOPE STREAM MODE SIZE SECONDS MAX_BYTES KEYS RATE. It warms up, says
 * ready, waits for a line, works, prints its figures, and waits for another line before it ends.
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

    /** Writes for some time; answers with the seconds from the first write to the last acknowledgement. */
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
                // As the other counterparts: in steps of a millisecond, without turning in circles.
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
        try (EventStreamClientFactory factory = EventStreamClientFactory.withScope(a[1], config);
                EventStreamWriter<byte[]> writer = factory.createEventWriter(
                        a[2], new ByteArraySerializer(), EventWriterConfig.builder().build())) {
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
}
