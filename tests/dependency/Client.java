import java.io.InputStream;
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
import java.time.Duration;

/** The clients of Java: `Client url|httpclient URL` prints what clients.py describes. */
class Client {
    static final Duration TIMEOUT = Duration.ofMillis(1500);

    public static void main(String[] arguments) throws Exception {
        String result;
        try {
            String body = arguments[0].equals("url") ? connection(arguments[1]) : client(arguments[1]);
            result = "{\"body\": \"" + body + "\"}";
        } catch (Exception failure) {
            result = "{\"error\": \"" + name(failure) + "\"}";
        }
        System.out.println(result);
        System.exit(0);
    }

    static String connection(String url) throws Exception {
        URLConnection connection = URI.create(url).toURL().openConnection();
        connection.setConnectTimeout((int) TIMEOUT.toMillis());
        connection.setReadTimeout((int) TIMEOUT.toMillis());
        try (InputStream body = connection.getInputStream()) {
            return new String(body.readAllBytes());
        }
    }

    static String client(String url) throws Exception {
        HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).connectTimeout(TIMEOUT).build();
        return client.send(HttpRequest.newBuilder(URI.create(url)).timeout(TIMEOUT).build(), BodyHandlers.ofString()).body();
    }

    static String name(Throwable failure) {
        for (Throwable one = failure; one != null; one = one.getCause()) {
            if (one instanceof UnknownHostException || one instanceof UnresolvedAddressException) return "unresolved";
            if (one instanceof SocketTimeoutException || one instanceof HttpTimeoutException) return "timeout";
            if (one instanceof SocketException && !(one instanceof ConnectException)) return "reset";
            if (one instanceof java.io.IOException && String.valueOf(one.getMessage()).matches(".*([Rr]eset|EOF|no bytes|Error writing).*")) return "reset";
        }
        return failure instanceof ConnectException ? "refused" : failure.toString();
    }
}
