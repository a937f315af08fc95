#include "http/client.h"

#include <curl/curl.h>

#include <algorithm>
#include <cstdlib>
#include <random>
#include <thread>

#include "base/bytes.h"
#include "base/printable.h"

namespace enclayer::http {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

struct CurlFree {
  void operator()(CURL* p) const { curl_easy_cleanup(p); }
  void operator()(curl_slist* p) const { curl_slist_free_all(p); }
  void operator()(CURLU* p) const { curl_url_cleanup(p); }
};

// libcurl wants this once in a process, before its first use.
void start_libcurl() {
  static const CURLcode kStarted = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (kStarted != CURLE_OK) std::abort();
}

// What one try received, and which limit it broke.
struct Receiving {
  const Limits& limits;
  Response response = {};
  bool too_long = false;

  static std::size_t header(char* data, std::size_t, std::size_t size, void* self) {
    auto& in = *static_cast<Receiving*>(self);
    std::string_view line(data, size);
    if (line.starts_with("HTTP/")) in.response.headers.clear();  // after an interim answer, such as 100
    in.too_long = in.response.headers.size() + size > in.limits.max_headers;
    if (in.too_long) return 0;
    in.response.headers += line;
    return size;
  }
  static std::size_t body(char* data, std::size_t, std::size_t size, void* self) {
    auto& in = *static_cast<Receiving*>(self);
    in.too_long = in.response.body.size() + size > in.limits.max_body;
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

bool is_redirect(long status) { return status >= 300 && status < 400; }

std::string advised(const std::string& advice) { return advice.empty() ? "" : "; " + advice; }

Try judge_status(const std::string& asked, const Advice& advice, long status, Receiving& in, CURL* curl) {
  std::string what = asked + ": status " + std::to_string(status);
  if (status == 200) return {std::move(in.response)};
  auto failed = [&](ErrorKind kind, const std::string& more) {
    return Error(kind, what + more, static_cast<std::uint32_t>(status));
  };
  if (is_redirect(status)) {
    const char* location = nullptr;
    curl_easy_getinfo(curl, CURLINFO_REDIRECT_URL, &location);
    return {failed(ErrorKind::kUnavailable, ", to " + base::printable(location != nullptr ? location : "nowhere", 200) +
                                                "; redirects are not followed: if that is the service, give its URL")};
  }
  std::string said = advice.words ? advice.words(base::as_text(in.response.body)) : "";
  said = base::printable(said.empty() ? base::as_text(in.response.body) : said, 600);
  if (!said.empty()) what += " (\"" + said + "\")";
  curl_off_t retry_after = 0;
  curl_easy_getinfo(curl, CURLINFO_RETRY_AFTER, &retry_after);
  retry_after = std::clamp(retry_after, curl_off_t{0}, curl_off_t{24} * 3600);
  ErrorKind kind = status == 404 || status == 410 ? ErrorKind::kNotFound
                   : status == 409                ? ErrorKind::kConflict
                                                  : ErrorKind::kUnavailable;
  return {failed(kind, advised(advice.status ? advice.status(status) : "")), passing(status),
          std::chrono::seconds(retry_after)};
}

Try judge_failure(const std::string& asked, const Advice& advice, CURLcode code, const Receiving& in,
                  std::string_view detail) {
  std::string what = asked + ": " + base::printable(detail.empty() ? curl_easy_strerror(code) : detail, 300);
  if (in.too_long || code == CURLE_FILESIZE_EXCEEDED)
    return {Error(ErrorKind::kMalformed,
                  asked + ": the answer is longer than the " + std::to_string(in.limits.max_body) +
                      " bytes (headers: " + std::to_string(in.limits.max_headers) + ") that are read")};
  switch (code) {
    case CURLE_OPERATION_TIMEDOUT: return {Error(ErrorKind::kTimedOut, what), true};
    case CURLE_PEER_FAILED_VERIFICATION: return {Error(ErrorKind::kUnavailable, what + advised(advice.authority))};
    case CURLE_SSL_CACERT_BADFILE: return {Error(ErrorKind::kMalformed, what + advised(advice.ca_pem))};
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT: return {Error(ErrorKind::kUnavailable, what + advised(advice.connect)), true};
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_WEIRD_SERVER_REPLY: return {Error(ErrorKind::kMalformed, what + advised(advice.not_http))};
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

struct Client::State {
  Options options;
  std::unique_ptr<CURL, CurlFree> curl;
  steady_clock::time_point deadline;
  std::minstd_rand jitter{std::random_device{}()};

  milliseconds left() const { return std::chrono::duration_cast<milliseconds>(deadline - steady_clock::now()); }

  Try once(const Request& request) {
    const Limits& limits = options.limits;
    auto within = [&](milliseconds limit) {
      return static_cast<long>(std::max<milliseconds::rep>(1, std::min(limit, left()).count()));
    };
    Receiving in{limits};
    char detail[CURL_ERROR_SIZE] = "";
    CURL* c = curl.get();
    auto set = [&](CURLoption option, auto value) {
      // A libcurl that does not know an option that keeps us safe is not one to go on with.
      if (curl_easy_setopt(c, option, value) != CURLE_OK) std::abort();
    };
    set(CURLOPT_URL, request.url.c_str());
    if (request.method != "GET") {
      set(CURLOPT_POSTFIELDS, request.body.c_str());
      set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
      set(CURLOPT_CUSTOMREQUEST, request.method.c_str());
    }
    std::unique_ptr<curl_slist, CurlFree> headers;
    for (const std::string& header : request.headers) {
      curl_slist* longer = curl_slist_append(headers.get(), header.c_str());
      if (longer == nullptr) std::abort();  // out of memory
      if (headers == nullptr) headers.reset(longer);
    }
    set(CURLOPT_HTTPHEADER, headers.get());
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
    set(CURLOPT_LOW_SPEED_LIMIT, Limits::kLowestSpeed);
    set(CURLOPT_LOW_SPEED_TIME, static_cast<long>(limits.stalled.count()));
    set(CURLOPT_MAXFILESIZE_LARGE, static_cast<curl_off_t>(limits.max_body));
    set(CURLOPT_HEADERFUNCTION, &Receiving::header);
    set(CURLOPT_HEADERDATA, static_cast<void*>(&in));
    set(CURLOPT_WRITEFUNCTION, &Receiving::body);
    set(CURLOPT_WRITEDATA, static_cast<void*>(&in));
    set(CURLOPT_ERRORBUFFER, static_cast<char*>(detail));
    CURLcode code = curl_easy_perform(c);
    long status = 0;
    curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
    const std::string asked = request.method + " " + request.url;
    Try out = code == CURLE_OK ? judge_status(asked, options.advice, status, in, c)
                               : judge_failure(asked, options.advice, code, in, detail);
    curl_easy_reset(c);  // it points to what ends here; connections are kept
    return out;
  }

  milliseconds pause_before_try(int number, milliseconds at_least) {
    double doubled = static_cast<double>(options.limits.first_pause.count()) * static_cast<double>(1 << (number - 2));
    double varied = doubled * std::uniform_real_distribution<double>(0.5, 1.5)(jitter);
    return at_least + milliseconds(static_cast<milliseconds::rep>(varied));
  }
};

Client::Client(Options options) : state_(std::make_unique<State>()) {
  start_libcurl();
  state_->options = std::move(options);
  state_->options.limits.tries = std::clamp(state_->options.limits.tries, 1, 16);
  if (!state_->options.pause) state_->options.pause = [](milliseconds time) { std::this_thread::sleep_for(time); };
  state_->curl.reset(curl_easy_init());
  if (!state_->curl) std::abort();  // out of memory
  state_->deadline = steady_clock::now() + state_->options.limits.total;
}

Client::Client(Client&&) noexcept = default;
Client::~Client() = default;

Result<Response> Client::send(const Request& request) {
  for (int number = 1;; ++number) {
    Try attempt = state_->once(request);
    if (attempt.result || !attempt.again) return attempt.result;
    auto given_up = [&](const std::string& why) {
      const Error& error = attempt.result.error();
      return Error(error.kind(), error.message() + " (" + why + ")", error.code());
    };
    if (number == state_->options.limits.tries) return given_up("tried " + std::to_string(number) + " times");
    milliseconds pause = state_->pause_before_try(number + 1, attempt.at_least);
    if (pause >= state_->left())
      return given_up("tried " + std::to_string(number) + " times; no time is left for another try, of " +
                      std::to_string(state_->options.limits.total.count()) + " ms for everything");
    state_->options.pause(pause);
  }
}

}  // namespace enclayer::http
