// SPDX-License-Identifier: Apache-2.0
#include "attest/key_secret.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/base64.h"
#include "base/bytes.h"
#include "base/file.h"
#include "base/malformed.h"
#include "base/printable.h"

namespace enclayer::attest {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::size_t kMaxFile = 64 << 10;  // bytes
constexpr unsigned kNotAllowed = 403, kMissing = 404, kConflicting = 409;

// What a key of a Secret's data can be (Kubernetes, IsConfigMapKey), of the kinds that we have.
bool is_file_of_ours(std::string_view name) {
  return !name.starts_with('.') && (name.ends_with(".pem") || name.ends_with(".key") || name.ends_with(".crt")) &&
         name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._") == name.npos;
}

// An object of the API server, and what is to be said of it.
class ApiObject {
 public:
  ApiObject(const http::ApiServer& api, const std::string& name_space, const char* kind, const std::string& name)
      : api_(api),
        title_(std::string(kind) + " " + name_space + "/" + name),
        url_(api.url + "/api/v1/namespaces/" + name_space + "/" + (*kind == 'S' ? "secrets/" : "configmaps/") + name) {}

  Result<base::JsonDocument> get() const { return send("GET", ""); }
  // kConflict: it has changed since the resourceVersion that the patch names.
  Result<> patch(const json& body) const {
    auto answer = send("PATCH", body.dump());
    return answer ? Result<>() : Result<>(answer.error());
  }
  const std::string& title() const { return title_; }

 private:
  Result<base::JsonDocument> send(const char* method, std::string body) const {
    http::Options options;
    options.limits.connect = std::chrono::seconds(2);
    options.limits.request = std::chrono::seconds(5);
    options.limits.total = std::chrono::seconds(10);
    options.limits.max_body = KeySecret::kMaxAnswer;
    options.any_status = true;
    ENCLAYER_TRY(auto client, http::AccountClient::open(api_.account, std::move(options)));
    auto answer = client.send({url_, method, {"Content-Type: application/merge-patch+json"}, std::move(body)});
    if (!answer) return answer.error().with_context(title_);
    if (answer->status / 100 == 2) {
      // Objects say with managedFields who wrote what: more values than others have.
      return base::JsonDocument::parse(base::as_text(answer->body),
                                       {.size = KeySecret::kMaxAnswer, .depth = 32, .values = 20'000});
    }
    return refused(answer->status);
  }

  Error refused(unsigned status) const {
    const std::string which = title_ + ": the API server answers " + std::to_string(status);
    if (status == kMissing)
      return {ErrorKind::kNotFound, which + ": it is not there; `enclayer update` and the chart make it", status};
    if (status == kNotAllowed)
      return {ErrorKind::kPermissionDenied,
              which + ": our ServiceAccount needs the rights get and patch of this one object", status};
    return {status == kConflicting ? ErrorKind::kConflict : ErrorKind::kUnavailable, which, status};
  }

  const http::ApiServer& api_;
  std::string title_, url_;
};

Result<std::optional<Time>> rotate_at(base::JsonValue metadata, const std::string& title) {
  const std::string said = metadata["annotations"][KeySecret::kRotateAt].text();
  if (said.empty()) return std::optional<Time>();
  auto time = parse_time(said);
  if (!time)
    return base::malformed(title + ": annotation " + std::string(KeySecret::kRotateAt) + " " +
                           base::printable(said, 64) + " is no time; write it as 2026-11-29T12:00:00Z");
  return std::optional(*time);
}

}  // namespace

Result<KeySecret::Files> KeySecret::read_folder() const {
  Files out;
  for (const std::string& name : base::Root(options_.folder).list("")) {
    if (!is_file_of_ours(name)) continue;
    ENCLAYER_TRY(out[name], base::read_file(options_.folder / name, kMaxFile));
  }
  return out;
}

Result<> KeySecret::write_folder(const Files& files) const {
  ENCLAYER_CHECK(base::make_folder(options_.folder, 0700));
  ENCLAYER_TRY(const Files there, read_folder());
  for (const auto& [name, content] : there) {
    std::error_code ignored;
    if (!files.contains(name)) fs::remove(options_.folder / name, ignored);
  }
  for (const auto& [name, content] : files)
    if (const auto found = there.find(name); found == there.end() || found->second != content) {
      ENCLAYER_CHECK(base::write_file_atomic(options_.folder / name, content, 0600));
    }
  return {};
}

Result<> KeySecret::renew(const Make& make) {
  const ApiObject secret(options_.api, options_.name_space, "Secret", options_.name);
  for (int i = 0; i < kTries; ++i) {
    ENCLAYER_TRY(const auto document, secret.get());
    const auto metadata = document.root()["metadata"];
    Files kept;
    for (const auto& [name, value] : document.root()["data"].entries()) {
      if (!is_file_of_ours(name)) continue;
      auto content = base::from_base64(value.text(), base::Base64::kPem);
      if (!content) return base::malformed(secret.title() + ": " + name + " is no base64");
      kept[name] = *std::move(content);
    }
    ENCLAYER_CHECK(write_folder(kept));
    ENCLAYER_TRY(const auto rotate, rotate_at(metadata, secret.title()));
    ENCLAYER_CHECK(make(rotate));
    ENCLAYER_TRY(const Files made, read_folder());
    if (made == kept) return {};
    json data = json::object();
    for (const auto& [name, content] : kept)
      if (!made.contains(name)) data[name] = nullptr;
    for (const auto& [name, content] : made)
      if (const auto was = kept.find(name); was == kept.end() || was->second != content)
        data[name] = base::to_base64(content);
    auto written = secret.patch(
        {{"metadata", {{"resourceVersion", metadata["resourceVersion"].text()}}}, {"data", std::move(data)}});
    if (written || written.error().kind() != ErrorKind::kConflict) return written;
  }
  return Error(ErrorKind::kConflict, secret.title() + " was changed by others " + std::to_string(kTries) +
                                         " times while we had something to write; it is tried again");
}

Result<> KeySecret::publish(const std::string& config_map, const std::string& key, const std::string& text) const {
  const ApiObject object(options_.api, options_.name_space, "ConfigMap", config_map);
  ENCLAYER_TRY(const auto document, object.get());
  if (document.root()["data"][key].text() == text) return {};
  return object.patch({{"data", {{key, text}}}});
}

}  // namespace enclayer::attest
