// SPDX-License-Identifier: Apache-2.0
#include "kubelet/plugin.h"

#include <algorithm>

namespace enclayer::kubelet {
namespace {

// A quota on the resource is called "requests.<name>", and that has to be a DNS name too.
constexpr std::size_t kMaxDomain = 253 - std::string_view("requests.").size();
constexpr std::size_t kMaxLabel = 63, kMaxWord = 63;

bool is_lower_or_digit(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }
bool is_alphanumeric(char c) { return is_lower_or_digit(c) || (c >= 'A' && c <= 'Z'); }

bool is_label(std::string_view text) {
  return !text.empty() && text.size() <= kMaxLabel && is_lower_or_digit(text.front()) &&
         is_lower_or_digit(text.back()) &&
         std::all_of(text.begin(), text.end(), [](char c) { return is_lower_or_digit(c) || c == '-'; });
}

bool is_domain(std::string_view text) {
  if (text.size() > kMaxDomain) return false;
  while (true) {
    std::size_t dot = text.find('.');
    if (!is_label(text.substr(0, dot))) return false;
    if (dot == std::string_view::npos) return true;
    text.remove_prefix(dot + 1);
  }
}

bool is_word(std::string_view text) {
  return !text.empty() && text.size() <= kMaxWord && is_alphanumeric(text.front()) && is_alphanumeric(text.back()) &&
         std::all_of(text.begin(), text.end(),
                     [](char c) { return is_alphanumeric(c) || c == '-' || c == '_' || c == '.'; });
}

}  // namespace

Result<> check_resource_name(std::string_view name) {
  auto refused = [&](const std::string& why) {
    return Error(ErrorKind::kInvalidArgument, "'" + std::string(name) + "' cannot be the name of a resource: " + why);
  };
  std::size_t slash = name.find('/');
  if (slash == std::string_view::npos) return refused("it has no domain; write it as vendor.example/thing");
  std::string_view domain = name.substr(0, slash), word = name.substr(slash + 1);
  if (!is_domain(domain))
    return refused("'" + std::string(domain) + "' is not a DNS name (lower-case letters, digits, '-', at most " +
                   std::to_string(kMaxDomain) + " characters)");
  if (!is_word(word))
    return refused("'" + std::string(word) +
                   "' is not a word of 1 to 63 letters, digits, '-', '_' or '.' that begins and "
                   "ends with a letter or digit");
  if (domain == "kubernetes.io" || domain.ends_with(".kubernetes.io"))
    return refused("kubernetes.io is kept for Kubernetes itself");
  if (domain.starts_with("requests.")) return refused("'requests.' is how quotas call a resource");
  return {};
}

}  // namespace enclayer::kubelet
