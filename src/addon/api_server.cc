// SPDX-License-Identifier: Apache-2.0
#include "addon/api_server.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <ctime>
#include <optional>
#include <thread>

#include "base/bytes.h"
#include "base/malformed.h"
#include "base/printable.h"
#include "http/client.h"

namespace enclayer::addon {
namespace {

using base::JsonDocument;
using base::JsonValue;
using base::malformed;
using std::chrono::milliseconds;

constexpr std::size_t kAtOnce = 8;          // requests
constexpr std::size_t kMaxTold = 2000;      // bytes of an answer in a message
constexpr std::chrono::seconds kStart{30};  // for a login that asks somebody

http::Options options(const std::filesystem::path& socket, int stop, std::chrono::seconds timeout) {
  http::Options out;
  out.unix_socket = socket;
  out.stop = stop;
  out.any_status = true;
  out.limits.request = out.limits.total = out.limits.stalled = timeout;
  out.limits.tries = 3;
  out.limits.first_pause = milliseconds(200);
  out.limits.max_body = ApiServer::kMostAnswer;
  return out;
}

std::string without_end(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  return text;
}

// What the API server writes first of an object: {"metadata":{"name":"a","namespace":"bank", ...
std::string name_in(std::string_view object) {
  auto text_of = [&](std::string_view key) {
    const std::size_t at = object.find(key), begin = at + key.size();
    return at == object.npos ? std::string()
                             : base::printable(object.substr(begin, object.find('"', begin) - begin), 253);
  };
  object = object.substr(0, 2048);
  const std::string name = text_of(R"("name":")"), place = text_of(R"("namespace":")");
  return (place.empty() ? "" : place + "/") + (name.empty() ? "an object" : name);
}

Result<std::optional<JsonDocument>> read_object(std::string_view text, Unreadable* unreadable) {
  auto object = JsonDocument::parse(text, kObjectLimits);
  if (object) return std::optional(*std::move(object));
  if (unreadable == nullptr) return object.error().with_context(name_in(text));
  if (unreadable->count++ == 0) unreadable->first = name_in(text) + ": " + object.error().message();
  return std::optional<JsonDocument>();
}

Error no_list(std::string_view text) {
  return malformed("the API server's answer is no list: " + base::printable(text, 80));
}

}  // namespace

std::string plural(std::string_view kind) {
  std::string out;
  for (char c : kind) out.push_back(static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c));
  if (out.ends_with("y")) return out.substr(0, out.size() - 1) + "ies";
  if (out.ends_with("s")) return out + "es";
  return out + "s";
}

std::string Reference::title() const { return kind + " " + (name_space.empty() ? "" : name_space + "/") + name; }

std::string Reference::path() const {
  return (api_version == "v1" ? "/api/" : "/apis/") + api_version +
         (name_space.empty() ? "" : "/namespaces/" + name_space) + "/" + plural(kind) +
         (name.empty() ? "" : "/" + name);
}

Result<std::unique_ptr<ApiServer>> ApiServer::start(const Kubectl& kubectl, const std::filesystem::path& folder) {
  std::unique_ptr<ApiServer> api(new ApiServer(kubectl, socket_in(folder)));
  ENCLAYER_TRY(base::Pipe out, base::make_pipe());
  // It says a line when it serves. What it complains of later nobody reads, so that goes where there is always room.
  ENCLAYER_TRY(base::UniqueFd complaints, base::memory_file(""));
  ENCLAYER_TRY(api->proxy_, base::ChildProcess::start(
                                {.command = kubectl.command({"proxy", "--unix-socket=" + api->socket_.string()}),
                                 .output = out.write.get(),
                                 .error = complaints.get(),
                                 .dies_with_thread = true}));
  out.write.reset();
  api->said_ = std::move(out.read);
  pollfd waits[] = {{api->said_.get(), POLLIN, 0}, {api->proxy_->fd(), POLLIN, 0}};
  if (::poll(waits, 2, static_cast<int>(milliseconds(kStart).count())) == 0)
    return Error(ErrorKind::kTimedOut, "kubectl proxy does not serve after " + std::to_string(kStart.count()) +
                                           " s; does it work? Try: kubectl get --raw /readyz");
  if (auto ending = api->proxy_->wait(milliseconds((waits[0].revents & POLLIN) != 0 ? 0 : 1000))) {
    std::string said(kMaxTold, '\0');
    said.resize(static_cast<std::size_t>(std::max<ssize_t>(::pread(complaints.get(), said.data(), said.size(), 0), 0)));
    return Error(ErrorKind::kInvalidArgument,
                 "kubectl cannot work: " + (said.empty() ? "it " + ending->text() : without_end(said)) +
                     "; kubectl config get-contexts lists what there is, --context NAME or --kubeconfig FILE says "
                     "which");
  }
  return api;
}

ApiServer::~ApiServer() {
  proxy_.reset();
  std::error_code ignored;
  std::filesystem::remove(socket_, ignored);
}

Result<http::Response> ApiServer::answer(const ApiRequest& request) const {
  // The proxy takes requests for this host alone, so that no web page can reach it by a name of its own.
  http::Request out{"http://localhost" + request.path, request.method, {}, request.body};
  out.headers.emplace_back(request.metadata_only
                               ? "Accept: application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
                               : "Accept: application/json");
  if (!request.body.empty()) out.headers.push_back("Content-Type: " + request.content_type);
  auto answer = http::Client(options(socket_, stop_.fd(), request.timeout)).send(out);
  if (!answer) return answer.error().with_context("cannot " + request.doing);
  if (answer->status / 100 != 2) return api_error(answer->status, base::as_text(answer->body), request.doing);
  return answer;
}

Result<std::string> ApiServer::send(const ApiRequest& request) const {
  ENCLAYER_TRY(const http::Response answered, answer(request));
  return std::string(base::as_text(answered.body));
}

Result<Time> ApiServer::time() const {
  ENCLAYER_TRY(const http::Response answered, answer({.path = "/version", .doing = "ask the API server for the time"}));
  constexpr std::string_view kDate = "\nDate: ";
  const std::size_t at = answered.headers.find(kDate);
  std::tm date{};
  if (at == std::string::npos ||
      ::strptime(answered.headers.c_str() + at + kDate.size(), "%a, %d %b %Y %H:%M:%S GMT", &date) == nullptr)
    return malformed("the API server does not say what time it is");
  return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::from_time_t(::timegm(&date)));
}

void at_once(std::size_t count, const std::function<void(std::size_t)>& task) {
  std::atomic<std::size_t> next = 0;
  std::vector<std::jthread> threads;
  for (std::size_t i = 0; i < std::min(kAtOnce, count); ++i)
    threads.emplace_back([&] {
      for (std::size_t at; (at = next++) < count;) task(at);
    });
}

std::vector<Result<std::string>> ApiServer::send_all(const std::vector<ApiRequest>& requests) const {
  std::vector<Result<std::string>> answers(requests.size());
  at_once(requests.size(), [&](std::size_t at) { answers[at] = send(requests[at]); });
  return answers;
}

std::string Unreadable::text() const {
  return first + (count > 1 ? " (and " + std::to_string(count - 1) + " more)" : "");
}

Result<std::string> ApiServer::list(const std::string& path, const std::string& doing, const Each& each,
                                    bool metadata_only, Unreadable* unreadable) const {
  const std::string first = path + (path.find('?') == std::string::npos ? "?" : "&") + "limit=" + std::to_string(kPage);
  std::string next;
  while (true) {
    ENCLAYER_TRY(std::string page, send({.path = first + next, .doing = doing, .metadata_only = metadata_only}));
    auto rest = read_list(page, each, unreadable);
    if (!rest) return rest.error().with_context("cannot " + doing);
    const JsonValue metadata = rest->root()["metadata"];
    const std::string more = metadata["continue"].text();
    if (more.empty()) return metadata["resourceVersion"].text();
    next = "&continue=" + more;
  }
}

Result<JsonDocument> read_list(std::string_view text, const ApiServer::Each& each, Unreadable* unreadable) {
  // Braces are counted outside of strings; what is between those of an item is checked when it is read.
  std::size_t depth = 0, string_begin = 0, item_begin = 0, items_begin = 0, items_end = 0;
  bool in_string = false;
  std::string_view last_string;  // of the outermost object: before a value, its key
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c != '"') continue;
      in_string = false;
      if (depth == 1) last_string = text.substr(string_begin, i - string_begin);
    } else if (c == '"') {
      in_string = true;
      string_begin = i + 1;
    } else if (c == '{' || c == '[') {
      const bool in_items = items_begin > 0 && items_end == 0;
      if (c == '[' && depth == 1 && last_string == "items" && items_begin == 0) items_begin = i + 1;
      if (in_items && depth == 2) item_begin = i;
      ++depth;
    } else if (c == '}' || c == ']') {
      if (depth == 0) return no_list(text);
      --depth;
      const bool in_items = items_begin > 0 && items_end == 0;
      if (in_items && depth == 1) items_end = i;
      if (!in_items || depth != 2) continue;
      ENCLAYER_TRY(const auto item, read_object(text.substr(item_begin, i + 1 - item_begin), unreadable));
      if (item) each(item->root());
    }
  }
  if (items_begin == 0) {  // the API server writes null for what has none
    auto whole = JsonDocument::parse(text);
    return whole && whole->root().has("items") ? std::move(whole) : no_list(text);
  }
  if (items_end == 0) return no_list(text);
  auto rest = JsonDocument::parse(std::string(text.substr(0, items_begin)) + std::string(text.substr(items_end)));
  return rest ? std::move(rest) : no_list(text);
}

ApiRequest watch_request(const std::string& path, const std::string& version, const std::string& doing) {
  return {.path = path + (path.find('?') == std::string::npos ? "?" : "&") +
                  "watch=1&allowWatchBookmarks=true&timeoutSeconds=" + std::to_string(kWatch.count()) +
                  "&resourceVersion=" + version,
          .doing = doing};
}

Result<bool> read_events(std::string_view answer, std::string& version,
                         const std::function<void(const std::string& type, JsonValue object)>& each,
                         Unreadable* unreadable) {
  while (!answer.empty()) {
    const std::size_t end = std::min(answer.find('\n'), answer.size());
    const std::string_view line = answer.substr(0, end);
    answer.remove_prefix(std::min(end + 1, answer.size()));
    if (line.empty()) continue;
    ENCLAYER_TRY(const auto event, read_object(line, unreadable));
    if (!event) continue;
    const std::string type = event->root()["type"].text();
    const JsonValue object = event->root()["object"];
    if (type == "ERROR") {
      if (object["code"].number() == 410) return false;
      return Error(ErrorKind::kUnavailable,
                   "the API server ended the watch: " + base::printable(object["message"].text(), kMaxTold));
    }
    if (std::string last = object["metadata"]["resourceVersion"].text(); !last.empty()) version = std::move(last);
    if (type != "BOOKMARK") each(type, object);
  }
  return true;
}

Error api_error(unsigned status, std::string_view body, const std::string& doing) {
  const std::string cannot = "cannot " + doing + ": ";
  auto document = JsonDocument::parse(body);
  const bool is_status = document && document->root()["kind"].text() == "Status";
  std::string said =
      without_end(is_status ? document->root()["message"].text() : std::string(body)).substr(0, kMaxTold);
  if (said.empty()) said = "status " + std::to_string(status);
  auto error = [&](ErrorKind kind, const std::string& text) { return Error(kind, cannot + text, status); };
  switch (status) {
    case 401:
      return error(ErrorKind::kPermissionDenied,
                   "the API server does not accept this login (" + said + "); log in again, then: kubectl auth whoami");
    case 403: return error(ErrorKind::kPermissionDenied, "the API server refuses it: " + said);
    case 404: return error(ErrorKind::kNotFound, said);
    case 409: {
      bool fields = false;
      if (is_status)
        for (const auto& [key, cause] : document->root()["details"]["causes"].entries())
          fields |= cause["reason"].text() == "FieldManagerConflict";
      return error(
          ErrorKind::kConflict,
          said + (fields ? "; somebody else set these fields of our objects. Undo that, or take them over with --adopt"
                         : ""));
    }
    default: break;
  }
  if (status / 100 == 4 && status != 429) return error(ErrorKind::kInvalidArgument, said);
  // Without a Status, it is kubectl that speaks: it does not reach the server, or cannot log in.
  return error(ErrorKind::kUnavailable,
               "the API server does not answer (" + said +
                   "); is it the right cluster? kubectl config current-context tells, --context NAME or --kubeconfig "
                   "FILE says which");
}

}  // namespace enclayer::addon
