// SPDX-License-Identifier: Apache-2.0
#include "fake/http_service.h"

#include <netinet/in.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <cstdlib>
#include <memory>

#include "attestation/openssl.h"

namespace enclayer::fake {
namespace {

template <class T, auto release>
using Ptr = attestation::OpensslPtr<T, release>;
using Bio = Ptr<BIO, BIO_free_all>;
using Key = Ptr<EVP_PKEY, EVP_PKEY_free>;
using X509Ptr = Ptr<X509, X509_free>;

void check(bool good) {
  if (!good) std::abort();
}

std::string pem_of(auto&& write) {
  Bio out(BIO_new(BIO_s_mem()));
  check(write(out.get()) == 1);
  return attestation::text_of(out.get());
}

X509Ptr issue(const char* name, EVP_PKEY* subject, X509* issuer, EVP_PKEY* issuer_key, const std::string& extension,
              int nid, long serial) {
  X509Ptr out(X509_new());
  check(X509_set_version(out.get(), 2) == 1);
  ASN1_INTEGER_set(X509_get_serialNumber(out.get()), serial);
  X509_gmtime_adj(X509_getm_notBefore(out.get()), -3600);
  X509_gmtime_adj(X509_getm_notAfter(out.get()), 24 * 3600);
  X509_NAME* subject_name = X509_get_subject_name(out.get());
  check(X509_NAME_add_entry_by_txt(subject_name, "CN", MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(name), -1,
                                   -1, 0) == 1);
  X509* signer = issuer != nullptr ? issuer : out.get();
  check(X509_set_issuer_name(out.get(), X509_get_subject_name(signer)) == 1);
  check(X509_set_pubkey(out.get(), subject) == 1);
  X509V3_CTX context;
  X509V3_set_ctx(&context, signer, out.get(), nullptr, nullptr, 0);
  Ptr<X509_EXTENSION, X509_EXTENSION_free> made(X509V3_EXT_conf_nid(nullptr, &context, nid, extension.c_str()));
  check(made && X509_add_ext(out.get(), made.get(), -1) == 1);
  check(X509_sign(out.get(), issuer_key, EVP_sha256()) > 0);
  return out;
}

}  // namespace

// One connection, with TLS or without.
class HttpService::Stream {
 public:
  Stream(int fd, SSL_CTX* tls) : fd_(fd) {
    if (tls == nullptr) return;
    ssl_.reset(SSL_new(tls));
    SSL_set_fd(ssl_.get(), fd);
    good_ = SSL_accept(ssl_.get()) == 1;
  }
  bool good() const { return good_; }
  long read(char* into, std::size_t size) {
    return ssl_ ? SSL_read(ssl_.get(), into, static_cast<int>(size)) : ::recv(fd_, into, size, 0);
  }
  bool write(const std::string& bytes) {
    for (std::size_t done = 0; done < bytes.size();) {
      const char* at = bytes.data() + done;
      std::size_t size = bytes.size() - done;
      long n = ssl_ ? SSL_write(ssl_.get(), at, static_cast<int>(size)) : ::send(fd_, at, size, MSG_NOSIGNAL);
      if (n <= 0) return false;
      done += static_cast<std::size_t>(n);
    }
    return true;
  }
  void shut_down() {
    if (ssl_) SSL_shutdown(ssl_.get());
    ::shutdown(fd_, SHUT_WR);
  }

 private:
  int fd_;
  bool good_ = true;
  Ptr<SSL, SSL_free> ssl_;
};

HttpAnswer http_answer(int status, const std::string& body, const std::string& headers) {
  return {"HTTP/1.1 " + std::to_string(status) + " Said\r\nConnection: close\r\nContent-Length: " +
              std::to_string(body.size()) + "\r\n" + headers + "\r\n" + body,
          HttpAnswer::Then::kClose};
}

TlsIdentity make_tls_identity(const std::string& name) {
  Key authority_key(EVP_EC_gen("P-256")), key(EVP_EC_gen("P-256"));
  X509Ptr authority = issue("Test Authority", authority_key.get(), nullptr, authority_key.get(), "critical,CA:TRUE",
                            NID_basic_constraints, 1);
  X509Ptr certificate =
      issue("Test Service", key.get(), authority.get(), authority_key.get(), name, NID_subject_alt_name, 2);
  return {pem_of([&](BIO* out) { return PEM_write_bio_X509(out, authority.get()); }),
          pem_of([&](BIO* out) { return PEM_write_bio_X509(out, certificate.get()); }), pem_of([&](BIO* out) {
            return PEM_write_bio_PrivateKey(out, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
          })};
}

HttpService::HttpService(Handler handler, std::optional<TlsIdentity> tls, const std::string& unix_socket)
    : handler_(std::move(handler)),
      tls_(std::move(tls)),
      listener_(::socket(unix_socket.empty() ? AF_INET : AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  if (!unix_socket.empty()) {
    sockaddr_un path{};
    path.sun_family = AF_UNIX;
    check(unix_socket.copy(path.sun_path, sizeof path.sun_path - 1) == unix_socket.size());
    check(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&path), sizeof path) == 0);
    check(::listen(listener_.get(), 64) == 0);
    thread_ = std::thread([this] { run(); });
    return;
  }
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  check(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), size) == 0);
  check(::listen(listener_.get(), 16) == 0);
  check(::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0);
  port_ = ntohs(address.sin_port);
  thread_ = std::thread([this] { run(); });
}

HttpService::~HttpService() {
  stop_.ring();
  thread_.join();
}

std::vector<std::string> HttpService::requests() const {
  std::lock_guard lock(mutex_);
  return requests_;
}

std::size_t HttpService::connections() const {
  std::lock_guard lock(mutex_);
  return connections_;
}

void HttpService::run() {
  sigset_t pipe;
  ::sigemptyset(&pipe);
  ::sigaddset(&pipe, SIGPIPE);
  ::pthread_sigmask(SIG_BLOCK, &pipe, nullptr);  // OpenSSL writes without MSG_NOSIGNAL
  while (true) {
    pollfd ready[] = {{listener_.get(), POLLIN, 0}, {stop_.fd(), POLLIN, 0}};
    ::poll(ready, 2, -1);
    if (ready[1].revents != 0) return;
    base::UniqueFd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!fd) continue;
    {
      std::lock_guard lock(mutex_);
      ++connections_;
    }
    serve(fd.get());
  }
}

bool HttpService::until_readable(int fd, int timeout_ms) const {
  pollfd ready[] = {{fd, POLLIN, 0}, {stop_.fd(), POLLIN, 0}};
  return ::poll(ready, 2, timeout_ms) > 0;
}

void HttpService::relay(int client, const std::string& to) const {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(std::stoi(to.substr(to.rfind(':') + 1))));
  base::UniqueFd service(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  check(::connect(service.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  while (true) {
    pollfd ready[] = {{client, POLLIN, 0}, {service.get(), POLLIN, 0}, {stop_.fd(), POLLIN, 0}};
    ::poll(ready, 3, -1);
    if (ready[2].revents != 0) return;
    for (int from : {0, 1}) {
      char chunk[4096];
      if (ready[from].revents == 0) continue;
      ssize_t n = ::recv(ready[from].fd, chunk, sizeof chunk, 0);
      if (n <= 0 || ::send(ready[1 - from].fd, chunk, static_cast<std::size_t>(n), MSG_NOSIGNAL) != n) return;
    }
  }
}

void HttpService::serve(int fd) {
  timeval patience{20, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  Ptr<SSL_CTX, SSL_CTX_free> context;
  if (tls_) {
    context.reset(SSL_CTX_new(TLS_server_method()));
    Bio certificate(BIO_new_mem_buf(tls_->certificate.data(), -1)), key(BIO_new_mem_buf(tls_->key.data(), -1));
    X509Ptr own(PEM_read_bio_X509(certificate.get(), nullptr, nullptr, nullptr));
    Key own_key(PEM_read_bio_PrivateKey(key.get(), nullptr, nullptr, nullptr));
    check(SSL_CTX_use_certificate(context.get(), own.get()) == 1);
    check(SSL_CTX_use_PrivateKey(context.get(), own_key.get()) == 1);
  }
  Stream stream(fd, context.get());
  if (!stream.good()) return;
  while (serve_one(stream, fd)) {
  }
}

bool HttpService::serve_one(Stream& stream, int fd) {
  HttpRequest request;
  std::size_t body_at = std::string::npos, body_size = 0;
  while (body_at == std::string::npos || request.body.size() < body_size) {
    char chunk[4096];
    long n = stream.read(chunk, sizeof chunk);
    if (n <= 0) return false;
    (body_at == std::string::npos ? request.head : request.body).append(chunk, static_cast<std::size_t>(n));
    if (body_at != std::string::npos) continue;
    std::size_t end = request.head.find("\r\n\r\n");
    if (end == std::string::npos) continue;
    body_at = end + 4;
    request.body = request.head.substr(body_at);
    request.head.resize(body_at);
    if (std::size_t at = request.head.find("\r\nContent-Length: "); at != std::string::npos)
      body_size = std::stoul(request.head.substr(at + 18));
  }
  std::size_t space = request.head.find(' ');
  request.method = request.head.substr(0, space);
  request.target = request.head.substr(space + 1, request.head.find(' ', space + 1) - space - 1);
  {
    std::lock_guard lock(mutex_);
    requests_.push_back(request.target);
  }
  HttpAnswer answer = handler_(request);
  bool sent = stream.write(answer.bytes);
  switch (answer.then) {
    case HttpAnswer::Then::kClose:
      if (sent) stream.shut_down();
      break;
    case HttpAnswer::Then::kReset: {
      linger at_once{1, 0};
      ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
      return false;
    }
    case HttpAnswer::Then::kHang: break;
    case HttpAnswer::Then::kKeep: return sent;
    case HttpAnswer::Then::kDrip:
      while (sent && !until_readable(fd, 50)) sent = stream.write("x");
      return false;
    case HttpAnswer::Then::kTunnel: return relay(fd, request.target), false;
  }
  // Until the client goes: closing while bytes of it are unread would reset the connection.
  until_readable(fd, -1);
  return false;
}

}  // namespace enclayer::fake
