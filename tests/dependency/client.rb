# The clients of Ruby: `net.http` and `socket`, which blocks. clients.py describes what it reads and writes.
require "net/http"
require "openssl"
require "socket"
require "timeout"
require "uri"

TIMEOUT_S = Integer(ENV.fetch("TIMEOUT_MS")) / 1000.0

class NetHttp
  def initialize(url)
    @http = Net::HTTP.new(url.hostname, url.port)
    @http.open_timeout = @http.read_timeout = TIMEOUT_S
    @http.max_retries = 0
    @http.keep_alive_timeout = 60
    @http.use_ssl = url.scheme == "https"
    @http.ca_file = ENV.fetch("AUTHORITY")
  end

  def get
    @http.start unless @http.started?
    @http.get("/").body
  end
end

class BlockingSocket
  def initialize(url)
    @url = url
  end

  def get
    Timeout.timeout(TIMEOUT_S) do
      @socket ||= connect
      @socket.write("GET / HTTP/1.1\r\nHost: #{@url.hostname}\r\n\r\n")
      length = nil
      while (line = @socket.gets) != "\r\n"
        raise EOFError if line.nil?
        length = Integer(line.split[1]) if line.start_with?("Content-Length")
      end
      @socket.read(length)
    end
  end

  def connect
    socket = TCPSocket.new(@url.hostname, @url.port)
    return socket if @url.scheme == "http"

    context = OpenSSL::SSL::SSLContext.new
    context.set_params(ca_file: ENV.fetch("AUTHORITY"))
    secure = OpenSSL::SSL::SSLSocket.new(socket, context)
    secure.hostname = @url.hostname
    secure.connect
  end
end

def name_of(failure)
  case failure
  when Errno::ECONNREFUSED then "refused"
  when Errno::ECONNRESET, Errno::EPIPE then "reset"
  when Timeout::Error, Errno::ETIMEDOUT then "timeout"
  when OpenSSL::SSL::SSLError then failure.message.match?(/errno=(104|32)|[Rr]eset/) ? "reset" : failure.inspect
  when SocketError then { "Temporary" => "tryAgain", "Name" => "notFound" }.fetch(failure.message.split(": ").last.split.first, failure.inspect)
  else failure.inspect
  end
end

CLIENTS = { "net.http" => NetHttp, "socket" => BlockingSocket }
kept = {}
lock = Mutex.new
$stdout.sync = true
$stdin.each_line do |line|
  id, name, key, url = line.split
  client = kept[key] || CLIENTS.fetch(name).new(URI(url))
  kept[key] = client unless key == "-"
  Thread.new do
    began = Process.clock_gettime(Process::CLOCK_MONOTONIC, :millisecond)
    result =
      begin
        "body #{client.get}"
      rescue StandardError => failure
        "error #{name_of(failure)}"
      end
    took = Process.clock_gettime(Process::CLOCK_MONOTONIC, :millisecond) - began
    lock.synchronize { $stdout.puts("#{id} #{took} #{result}") }
  end
end
