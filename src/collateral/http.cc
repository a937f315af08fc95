#include "collateral/http.h"

#include <curl/curl.h>

#include <algorithm>
#include <cstdlib>
#include <random>
#include <thread>

#include "base/bytes.h"
#include "base/printable.h"

namespace enclayer::collateral {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

struct CurlFree {
  void operator()(CURL* p) const { curl_easy_cleanup(p); }
  void operator()(CURLU* p) const { curl_url_cleanup(p); }
};

// libcurl wants this once in a process, before its first use.
void start_libcurl() {
  static const CURLcode kStarted = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (kStarted != CURLE_OK) std::abort();
}

// What one try received, and which limit it broke.
struct Receiving {
  Response response;
  bool too_long = false;

  static std::size_t header(char* data, std::size_t, std::size_t size, void* self) {
    auto& in = *static_cast<Receiving*>(self);
    std::string_view line(data, size);
    if (line.starts_with("HTTP/")) in.response.headers.clear();  // after an interim answer, such as 100
    in.too_long = in.response.headers.size() + size > Response::kMaxHeaders;
    if (in.too_long) return 0;
    in.response.headers += line;
    return size;
  }
  static std::size_t body(char* data, std::size_t, std::size_t size, void* self) {
    auto& in = *static_cast<Receiving*>(self);
    in.too_long = in.response.body.size() + size > Response::kMaxBody;
    if (in.too_long) return 0;
    base::append(in.response.body, base::as_bytes(std::string_view(data, size)));
    return size;
  }
};

struct Try {
  Result<Response> result;
  bool again = false;  // another try may help
  milliseconds at_least{0};
};

bool passing(long status) {
  return status == 408 || status == 429 || status == 500 || status == 502 || status == 503 || status == 504;
}

// What a person can do about a status.
std::string remedy(long status) {
  switch (status) {
    case 400: return "the service does not understand the request; is its version 3 or 4?";
    case 401:
    case 403: return "the service, or a proxy before it, does not let us in";
    case 404:
    case 410: return "the service has nothing there; is the FMSPC right, and the URL?";
    case 407: return "the proxy wants a name and a password: --proxy http://NAME:PASSWORD@HOST:PORT";
    case 429: return "the service wants fewer requests; try later, or use a caching service (PCCS)";
    case 461: return "the caching service does not know this platform; it has to be registered there first";
    case 504: return "the caching service cannot reach Intel's";
    default: break;
  }
  return status >= 500 ? "the service has trouble; try later" : "is the URL that of a PCS or PCCS?";
}

bool is_redirect(long status) { return status >= 300 && status < 400; }

Try judge_status(const std::string& url, long status, Receiving& in, CURL* curl) {
  std::string what = "GET " + url + ": status " + std::to_string(status);
  if (status == 200) return {std::move(in.response)};
  if (is_redirect(status)) {
    auto location = header_value(in.response.headers, {"Location"});
    return {Error(ErrorKind::kUnavailable, what + ", to " + base::printable(location ? *location : "nowhere", 200) +
                                               "; redirects are not followed: if that is the service, give its URL")};
  }
  std::string said = base::printable(base::as_text(in.response.body), 120);
  if (!said.empty()) what += " (\"" + said + "\")";
  curl_off_t retry_after = 0;
  curl_easy_getinfo(curl, CURLINFO_RETRY_AFTER, &retry_after);
  retry_after = std::clamp<curl_off_t>(retry_after, 0, 24 * 3600);
  ErrorKind kind = status == 404 || status == 410 ? ErrorKind::kNotFound : ErrorKind::kUnavailable;
  return {Error(kind, what + "; " + remedy(status)), passing(status), std::chrono::seconds(retry_after)};
}

Try judge_failure(const std::string& url, CURLcode code, const Receiving& in, std::string_view detail) {
  std::string what = "GET " + url + ": " + base::printable(detail.empty() ? curl_easy_strerror(code) : detail, 300);
  if (in.too_long || code == CURLE_FILESIZE_EXCEEDED)
    return {Error(ErrorKind::kMalformed,
                  "GET " + url + ": the answer is longer than the " + std::to_string(Response::kMaxBody) +
                      " bytes (headers: " + std::to_string(Response::kMaxHeaders) + ") that are read")};
  switch (code) {
    case CURLE_OPERATION_TIMEDOUT: return {Error(ErrorKind::kTimedOut, what), true};
    case CURLE_PEER_FAILED_VERIFICATION:
      return {Error(ErrorKind::kUnavailable,
                    what + "; if the service has a certificate of a private authority: --cacert FILE")};
    case CURLE_SSL_CACERT_BADFILE:
      return {Error(ErrorKind::kMalformed, what + "; --cacert wants a file with certificates in PEM")};
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
      return {Error(ErrorKind::kUnavailable, what + "; is the URL right, and is a proxy needed (--proxy)?"), true};
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_WEIRD_SERVER_REPLY: return {Error(ErrorKind::kMalformed, what + "; is the URL that of a PCS or PCCS?")};
    default: return {Error(ErrorKind::kUnavailable, what), true};
  }
}

}  // namespace

Result<std::string> checked_url(std::string_view given) {
  start_libcurl();
  auto refused = [&](const std::string& why) {
    return Error(ErrorKind::kInvalidArgument, "\"" + base::printable(given, 200) + "\": " + why +
                                                  "; a service's URL is http(s)://HOST[:PORT][/PATH]");
  };
  // Before anything could show it.
  if (given.find('@') != std::string_view::npos)
    return Error(ErrorKind::kInvalidArgument,
                 "a service's URL cannot have a user or password in it: it is shown in messages and kept in the cache");
  std::unique_ptr<CURLU, CurlFree> url(curl_url());
  if (!url) std::abort();
  if (auto code = curl_url_set(url.get(), CURLUPART_URL, std::string(given).c_str(), CURLU_NON_SUPPORT_SCHEME))
    return refused(curl_url_strerror(code));
  auto part = [&](CURLUPart which, unsigned flags = 0) -> std::optional<std::string> {
    char* text = nullptr;
    if (curl_url_get(url.get(), which, &text, flags) != CURLUE_OK) return std::nullopt;
    std::string out = text;
    curl_free(text);
    return out;
  };
  std::string scheme = part(CURLUPART_SCHEME).value_or("");
  if (scheme != "http" && scheme != "https") return refused("its scheme is " + scheme);
  if (part(CURLUPART_QUERY) || part(CURLUPART_FRAGMENT)) return refused("it has a query or a fragment");
  auto whole = part(CURLUPART_URL);
  if (!whole) return refused("it has no host");
  while (whole->ends_with('/')) whole->pop_back();
  return *whole;
}

struct HttpClient::State {
  HttpOptions options;
  std::unique_ptr<CURL, CurlFree> curl;
  steady_clock::time_point deadline;
  std::minstd_rand jitter{std::random_device{}()};

  milliseconds left() const { return std::chrono::duration_cast<milliseconds>(deadline - steady_clock::now()); }

  Try once(const std::string& url) {
    const HttpLimits& limits = options.limits;
    auto within = [&](milliseconds limit) {
      return static_cast<long>(std::max<milliseconds::rep>(1, std::min(limit, left()).count()));
    };
    Receiving in;
    char detail[CURL_ERROR_SIZE] = "";
    CURL* c = curl.get();
    curl_easy_reset(c);  // keeps connections
    auto set = [&](CURLoption option, auto value) {
      // A libcurl that does not know an option that keeps us safe is not one to go on with.
      if (curl_easy_setopt(c, option, value) != CURLE_OK) std::abort();
    };
    set(CURLOPT_URL, url.c_str());
    set(CURLOPT_PROTOCOLS_STR, "http,https");
    set(CURLOPT_FOLLOWLOCATION, 0L);
    set(CURLOPT_SSL_VERIFYPEER, 1L);
    set(CURLOPT_SSL_VERIFYHOST, 2L);
    set(CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
    curl_blob authorities{options.ca_pem.data(), options.ca_pem.size(), CURL_BLOB_NOCOPY};
    if (!options.ca_pem.empty()) {
      set(CURLOPT_CAINFO_BLOB, &authorities);
      set(CURLOPT_CAPATH, static_cast<const char*>(nullptr));
    }
    if (options.proxy) set(CURLOPT_PROXY, options.proxy->c_str());
    set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    set(CURLOPT_USERAGENT, options.user_agent.c_str());
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_CONNECTTIMEOUT_MS, within(limits.connect));
    set(CURLOPT_TIMEOUT_MS, within(limits.request));
    set(CURLOPT_LOW_SPEED_LIMIT, HttpLimits::kLowestSpeed);
    set(CURLOPT_LOW_SPEED_TIME, static_cast<long>(limits.stalled.count()));
    set(CURLOPT_MAXFILESIZE_LARGE, static_cast<curl_off_t>(Response::kMaxBody));
    set(CURLOPT_HEADERFUNCTION, &Receiving::header);
    set(CURLOPT_HEADERDATA, static_cast<void*>(&in));
    set(CURLOPT_WRITEFUNCTION, &Receiving::body);
    set(CURLOPT_WRITEDATA, static_cast<void*>(&in));
    set(CURLOPT_ERRORBUFFER, static_cast<char*>(detail));
    CURLcode code = curl_easy_perform(c);
    long status = 0;
    curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
    Try out = code == CURLE_OK ? judge_status(url, status, in, c) : judge_failure(url, code, in, detail);
    curl_easy_setopt(c, CURLOPT_ERRORBUFFER, nullptr);
    return out;
  }

  milliseconds pause_before_try(int number, milliseconds at_least) {
    double doubled = static_cast<double>(options.limits.first_pause.count()) * static_cast<double>(1 << (number - 2));
    double varied = doubled * std::uniform_real_distribution<double>(0.5, 1.5)(jitter);
    return at_least + milliseconds(static_cast<milliseconds::rep>(varied));
  }
};

HttpClient::HttpClient(HttpOptions options) : state_(std::make_unique<State>()) {
  start_libcurl();
  state_->options = std::move(options);
  state_->options.limits.tries = std::clamp(state_->options.limits.tries, 1, 16);
  if (!state_->options.pause) state_->options.pause = [](milliseconds time) { std::this_thread::sleep_for(time); };
  state_->curl.reset(curl_easy_init());
  if (!state_->curl) std::abort();  // out of memory
  state_->deadline = steady_clock::now() + state_->options.limits.total;
}

HttpClient::HttpClient(HttpClient&&) noexcept = default;
HttpClient::~HttpClient() = default;

Result<Response> HttpClient::get(const std::string& url) {
  for (int number = 1;; ++number) {
    Try attempt = state_->once(url);
    if (attempt.result || !attempt.again) return attempt.result;
    auto given_up = [&](const std::string& why) {
      const Error& error = attempt.result.error();
      return Error(error.kind(), error.message() + " (" + why + ")");
    };
    if (number == state_->options.limits.tries) return given_up("tried " + std::to_string(number) + " times");
    milliseconds pause = state_->pause_before_try(number + 1, attempt.at_least);
    if (pause >= state_->left())
      return given_up("tried " + std::to_string(number) + " times; no time is left for another try, of " +
                      std::to_string(state_->options.limits.total.count()) + " ms for everything");
    state_->options.pause(pause);
  }
}

}  // namespace enclayer::collateral
