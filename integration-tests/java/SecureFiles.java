import io.pravega.shared.security.crypto.StrongPasswordProcessor;
import io.pravega.shared.security.token.JsonWebToken;
import java.io.InputStream;
import java.net.InetAddress;
import java.net.UnknownHostException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.Key;
import java.security.KeyStore;
import java.security.cert.Certificate;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Date;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Makes what a server with TLS and accounts needs, in the folder given: a key with a self-signed certificate for
 * this machine in the forms the server wants, a file of accounts, and a token that has expired. For tests only:
 * everything has the same password, but for one account whose password has characters of each kind.
 *
 * Usage: java -cp LIB/* SecureFiles.java FOLDER PASSWORD
 */
public class SecureFiles {
    /** The password of the account `odd`: the tests have it too. */
    private static final String ODD = "pass:w\u00f6rd \u2615\ud83d\ude00:";

    public static void main(String[] arguments) throws Exception {
        Path folder = Path.of(arguments[0]);
        String password = arguments[1];
        Path keyStore = folder.resolve("server.jks");
        // The server's segment store is at 0.0.0.0, it says, and the Java client takes that for this machine's name.
        String names = "dns:localhost,ip:127.0.0.1,ip:0.0.0.0" + nameOfThisMachine();
        keytool("-genkeypair", "-alias", "server", "-keyalg", "RSA", "-keysize", "2048", "-validity", "30",
                "-dname", "CN=localhost", "-ext", "san=" + names, "-ext", "eku=serverAuth",
                "-storetype", "JKS", "-keystore", keyStore.toString(), "-storepass", password, "-keypass", password);
        KeyStore store = KeyStore.getInstance("JKS");
        try (InputStream in = Files.newInputStream(keyStore)) {
            store.load(in, password.toCharArray());
        }
        Key key = store.getKey("server", password.toCharArray());
        Certificate certificate = store.getCertificate("server");
        Files.writeString(folder.resolve("server.pk8"), pem("PRIVATE KEY", key.getEncoded()));
        Files.writeString(folder.resolve("server.crt"), pem("CERTIFICATE", certificate.getEncoded()));
        keytool("-importcert", "-noprompt", "-alias", "server", "-file", folder.resolve("server.crt").toString(),
                "-storetype", "JKS", "-keystore", folder.resolve("trust.jks").toString(), "-storepass", password);
        Files.writeString(folder.resolve("store-password"), password);
        StringBuilder accounts = new StringBuilder();
        for (Map.Entry<String, String> rights : rightsByUser().entrySet()) {
            accounts.append(account(rights.getKey(), password, rights.getValue()));
        }
        accounts.append(account("odd", ODD, "prn::*,READ"));
        Files.writeString(folder.resolve("accounts"), accounts);
        // The standalone server signs with this key, whatever its configuration says.
        byte[] signingKey = "secret".getBytes(StandardCharsets.UTF_8);
        Files.writeString(folder.resolve("expired-token"), new JsonWebToken("segmentstoreresource", "segmentstore",
                signingKey, new Date(System.currentTimeMillis() - 60_000), Map.of("*", "READ_UPDATE")).toCompactString());
    }

    /** Users with their rights. For each right that a call needs, to a resource of scope {@code a}, one user has only it. */
    private static Map<String, String> rightsByUser() {
        Map<String, String> rights = new LinkedHashMap<>();
        rights.put("admin", "prn::*,READ_UPDATE");
        rights.put("reader", "prn::/,READ;prn::/scope:open,READ;prn::/scope:open/*,READ");
        rights.put("nothing", "");
        rights.put("all-READ", "prn::*,READ");
        rights.put("streams", "prn::/scope:a/stream:*,READ_UPDATE");
        rights.put("neighbour", "prn::/scope:aa*,READ_UPDATE;prn::/scope:b*,READ_UPDATE;prn::/scope:a/*:tt,READ_UPDATE");
        rights.put("all-but-a-stream", "prn::/scope:a/stream:t,NONE;prn::*,READ_UPDATE");
        Map<String, String> resources = Map.of(
                "scopes", "prn::/",
                "scope", "prn::/scope:a",
                "stream", "prn::/scope:a/stream:t",
                "group", "prn::/scope:a/reader-group:t",
                "table", "prn::/scope:a/key-value-table:t");
        resources.forEach((name, resource) -> {
            for (String right : List.of("READ", "READ_UPDATE")) {
                rights.put(name + "-" + right, resource + "," + right);
            }
        });
        return rights;
    }

    /** Another name for the certificate, if this machine has one that a certificate can have. */
    private static String nameOfThisMachine() {
        try {
            String name = InetAddress.getLocalHost().getHostName();
            return name.matches("[A-Za-z0-9][A-Za-z0-9.-]*") ? ",dns:" + name : "";
        } catch (UnknownHostException e) {
            return "";
        }
    }

    private static String account(String name, String password, String rights) throws Exception {
        // Few iterations: the server hashes the password of each call.
        String hash = StrongPasswordProcessor.builder().iterations(50).build().encryptPassword(password);
        return name + ":" + hash + ":" + rights + "\n";
    }

    private static String pem(String kind, byte[] bytes) {
        String body = Base64.getMimeEncoder(64, new byte[] {'\n'}).encodeToString(bytes);
        return "-----BEGIN " + kind + "-----\n" + body + "\n-----END " + kind + "-----\n";
    }

    private static void keytool(String... arguments) throws Exception {
        List<String> command = new ArrayList<>(List.of(Path.of(System.getProperty("java.home"), "bin", "keytool").toString()));
        command.addAll(List.of(arguments));
        int code = new ProcessBuilder(command).inheritIO().start().waitFor();
        if (code != 0) {
            throw new IllegalStateException("keytool ended with " + code);
        }
    }
}
