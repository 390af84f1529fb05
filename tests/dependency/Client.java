import java.io.BufferedReader;
import java.io.FileInputStream;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.net.ConnectException;
import java.net.SocketException;
import java.net.SocketTimeoutException;
import java.net.URI;
import java.net.URLConnection;
import java.net.UnknownHostException;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.net.http.HttpTimeoutException;
import java.nio.channels.UnresolvedAddressException;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.time.Duration;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import javax.net.ssl.HttpsURLConnection;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

/** The clients of Java: `url` and `httpclient`, which both keep their connections. clients.py describes what it reads and writes. */
class Client {
    static final Duration TIMEOUT = Duration.ofMillis(Long.parseLong(System.getenv("TIMEOUT_MS")));
    static HttpClient client;

    public static void main(String[] arguments) throws Exception {
        SSLContext context = trust();
        HttpsURLConnection.setDefaultSSLSocketFactory(context.getSocketFactory());
        client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).connectTimeout(TIMEOUT).sslContext(context).build();
        ExecutorService threads = Executors.newCachedThreadPool();
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            String[] words = line.split(" ");
            threads.submit(() -> fetch(words[0], words[1], words[3]));
        }
        System.exit(0);
    }

    static SSLContext trust() throws Exception {
        KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
        store.load(null);
        try (InputStream file = new FileInputStream(System.getenv("AUTHORITY"))) {
            store.setCertificateEntry("authority", CertificateFactory.getInstance("X.509").generateCertificate(file));
        }
        TrustManagerFactory trusted = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trusted.init(store);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(null, trusted.getTrustManagers(), null);
        return context;
    }

    static void fetch(String id, String kind, String url) {
        long began = System.nanoTime();
        String result;
        try {
            result = "body " + (kind.equals("url") ? withConnection(url) : withClient(url));
        } catch (Throwable failure) {
            result = "error " + name(failure).replace('\n', ' ');
        }
        System.out.println(id + " " + (System.nanoTime() - began) / 1_000_000 + " " + result);
    }

    static String withConnection(String url) throws Exception {
        URLConnection connection = URI.create(url).toURL().openConnection();
        connection.setConnectTimeout((int) TIMEOUT.toMillis());
        connection.setReadTimeout((int) TIMEOUT.toMillis());
        try (InputStream body = connection.getInputStream()) {
            return new String(body.readAllBytes());
        }
    }

    static String withClient(String url) throws Exception {
        return client.send(HttpRequest.newBuilder(URI.create(url)).timeout(TIMEOUT).build(), BodyHandlers.ofString()).body();
    }

    static String name(Throwable failure) {
        for (Throwable one = failure; one != null; one = one.getCause()) {
            String message = String.valueOf(one.getMessage());
            if (one instanceof UnresolvedAddressException || one instanceof UnknownHostException) return "unresolved";
            if (one instanceof SocketTimeoutException || one instanceof HttpTimeoutException) return "timeout";
            if (message.contains("Connection reset") || message.contains("Broken pipe") || message.contains("Error writing to server")) return "reset";
            if (one instanceof ConnectException && message.contains("refused")) return "refused";
        }
        return failure instanceof ConnectException ? "refused" : failure + " < " + failure.getCause();
    }
}
