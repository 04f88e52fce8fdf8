import io.pravega.client.ClientConfig;
import io.pravega.client.EventStreamClientFactory;
import io.pravega.client.admin.ReaderGroupManager;
import io.pravega.client.stream.Checkpoint;
import io.pravega.client.stream.ConfigMismatchException;
import io.pravega.client.stream.EventPointer;
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
import java.io.BufferedReader;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.net.URI;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.Arrays;
import java.util.Base64;
import java.util.Map;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.stream.Collectors;

/**
 * A program that shares reader groups with the SDK: URI SCOPE.
 *
 * It reads commands until the end of its input: NUMBER GROUP VERB [ARGUMENT...]. Each has an answer, which may come
 * after those of later ones: answer NUMBER TEXT, or failed NUMBER TEXT. A reader that has joined prints what it reads:
 *
 * event READER MICROSECONDS POINTER POSITION TEXT
 * checkpoint READER NAME
 * ended READER REASON
 */
public class Groups {
    private static final long READ_MILLIS = 100;

    private final ClientConfig config;
    private final String scope;
    private final ReaderGroupManager manager;
    private final EventStreamClientFactory factory;
    private final Map<String, Member> members = new ConcurrentHashMap<>();
    private final ScheduledExecutorService executor = Executors.newScheduledThreadPool(2);
    private final PrintStream out;

    Groups(String uri, String scope, PrintStream out) {
        this.out = out;
        this.config = ClientConfig.builder().controllerURI(URI.create(uri)).build();
        this.scope = scope;
        this.manager = ReaderGroupManager.withScope(scope, config);
        this.factory = EventStreamClientFactory.withScope(scope, config);
    }

    public static void main(String[] a) throws Exception {
        // The client logs to stdout.
        PrintStream out = new PrintStream(new FileOutputStream(FileDescriptor.out), true, StandardCharsets.UTF_8);
        System.setOut(System.err);
        Groups groups = new Groups(a[0], a[1], out);
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        ExecutorService commands = Executors.newCachedThreadPool();
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            String[] words = line.split(" ");
            commands.submit(() -> groups.answer(words));
        }
        System.exit(0);
    }

    private void answer(String[] words) {
        try {
            String answer = command(words[1], words[2], Arrays.copyOfRange(words, 3, words.length));
            print("answer", words[0], answer);
        } catch (Throwable e) {
            print("failed", words[0], e);
        }
    }

    private void print(Object... words) {
        String line = Arrays.stream(words).map(Object::toString).collect(Collectors.joining(" "));
        out.println(line.replace('\n', ' '));
    }

    private String command(String group, String verb, String[] a) throws Exception {
        switch (verb) {
            case "create":
                return create(group, a);
            case "delete":
                manager.deleteReaderGroup(group);
                return "done";
            case "join":
                members.put(a[0], new Member(group, a[0]));
                return "done";
            case "close":
                members.remove(a[0]).close();
                return "done";
            case "vanish":
                members.remove(a[0]).stop();
                return "done";
            case "fetch":
                return members.get(a[0]).events.fetchEvent(EventPointer.fromBytes(bytes(a[1])));
            case "echo":
                return text(Position.fromBytes(bytes(a[0])).toBytes());
            default:
        }
        try (ReaderGroup opened = manager.getReaderGroup(group)) {
            return command(opened, verb, a);
        } catch (ReaderGroupNotFoundException e) {
            return "missing";
        }
    }

    private String command(ReaderGroup group, String verb, String[] a) throws Exception {
        switch (verb) {
            case "describe":
                return "[" + String.join(",", new TreeSet<>(group.getOnlineReaders())) + "] "
                        + group.getReaderSegmentDistribution().getUnassignedSegments() + " " + text(group.getStreamCuts());
            case "unread":
                return Long.toString(group.getMetrics().unreadBytes());
            case "checkpoint":
                return text(group.initiateCheckpoint(a[0], executor).get().toBytes());
            case "cuts":
                return text(group.generateStreamCuts(executor).get());
            case "reset-to-cut":
                group.resetReaderGroup(settings(a[0]).stream(Stream.of(scope, a[1]), cut(a[2])).build());
                return "done";
            case "reset-to-checkpoint":
                group.resetReaderGroup(settings(a[0]).startFromCheckpoint(Checkpoint.fromBytes(bytes(a[1]))).build());
                return "done";
            case "offline":
                group.readerOffline(a[0], a.length > 1 ? Position.fromBytes(bytes(a[1])) : null);
                return "done";
            default:
                throw new IllegalArgumentException(verb);
        }
    }

    private static ByteBuffer bytes(String text) {
        return ByteBuffer.wrap(Base64.getDecoder().decode(text));
    }

    private static String text(ByteBuffer bytes) {
        byte[] copy = new byte[bytes.remaining()];
        bytes.duplicate().get(copy);
        return Base64.getEncoder().encodeToString(copy);
    }

    private static String text(Map<Stream, StreamCut> cuts) {
        return cuts.values().stream().map(StreamCut::asText).collect(Collectors.joining(" "));
    }

    private static StreamCut cut(String text) {
        return text.equals("UNBOUNDED") ? StreamCut.UNBOUNDED : StreamCut.from(text);
    }

    private static ReaderGroupConfig.ReaderGroupConfigBuilder settings(String refresh) {
        return ReaderGroupConfig.builder().disableAutomaticCheckpoints().groupRefreshTimeMillis(Long.parseLong(refresh));
    }

    /**
     * STREAM FROM TO REFRESH [INTERVAL [RETENTION]]: reads a part of a stream, with automatic checkpoints if there is an
     * interval.
     */
    private String create(String group, String[] a) {
        ReaderGroupConfig.ReaderGroupConfigBuilder wanted =
                settings(a[3]).stream(Stream.of(scope, a[0]), cut(a[1]), cut(a[2]));
        if (a.length > 4) {
            wanted.automaticCheckpointIntervalMillis(Long.parseLong(a[4]));
        }
        if (a.length > 5) {
            wanted.retentionType(ReaderGroupConfig.StreamDataRetention.valueOf(a[5]));
        }
        try {
            return Boolean.toString(manager.createReaderGroup(group, wanted.build()));
        } catch (ConfigMismatchException e) {
            return "mismatch";
        }
    }

    /** A reader in a thread of its own, which prints what it reads. */
    private class Member {
        final String id;
        final EventStreamReader<String> events;
        final Thread thread = new Thread(this::read);
        volatile boolean isStopped;

        Member(String group, String id) {
            this.id = id;
            this.events = factory.createReader(id, group, new UTF8StringSerializer(), ReaderConfig.builder().build());
            thread.start();
        }

        private void read() {
            try {
                while (!isStopped) {
                    EventRead<String> read = events.readNextEvent(READ_MILLIS);
                    if (read.isCheckpoint()) {
                        print("checkpoint", id, read.getCheckpointName());
                    } else if (read.getEvent() != null) {
                        long micros = ChronoUnit.MICROS.between(Instant.EPOCH, Instant.now());
                        String pointer = text(read.getEventPointer().toBytes());
                        print("event", id, micros, pointer, text(read.getPosition().toBytes()), read.getEvent());
                    } else if (read.isReadCompleted()) {
                        print("ended", id, "read");
                        return;
                    }
                }
            } catch (ReinitializationRequiredException e) {
                print("ended", id, "removed");
            } catch (Throwable e) {
                print("ended", id, e);
            }
        }

        /** Reads no more, and stays in the group as a dead reader does. */
        void stop() throws InterruptedException {
            isStopped = true;
            thread.join();
        }

        /** Leaves the group after the last event that was printed. */
        void close() throws InterruptedException {
            stop();
            events.close();
        }
    }
}
