// SPDX-License-Identifier: Apache-2.0
#include "translate/pod_rules.h"

#include <algorithm>
#include <array>
#include <optional>
#include <regex>
#include <set>
#include <string_view>
#include <utility>

#include "base/resource_names.h"
#include "translate/amount.h"

namespace enclayer::translate {
namespace {

// EPC under every name; the first is the one that nodes offer. Taints of SGX nodes are called like that, too.
constexpr std::array<std::string_view, 4> kNames = {base::kEpcResource, base::kForeignEpc[0], base::kForeignEpc[1],
                                                    base::kForeignEpc[2]};
constexpr std::string_view kInBytes = base::kForeignEpc[0];
constexpr std::array<std::string_view, 5> kOtherNames = {base::kEnclaveResource, base::kProvisionResource,
                                                         base::kQuoteResource, "sgx.intel.com/qe",
                                                         "sgx.intel.com/registration"};
constexpr std::string_view kProvider = "sgx.intel.com/quote-provider", kAttestation = "enclayer.io/attestation",
                           kTranslated = "enclayer.io/translated", kSlots = "enclayer.io/quote-slots";
constexpr std::int64_t kMostDevices = 262'408;  // of a node (docs/limits.md)
constexpr std::int64_t kMostInStatus = std::int64_t{48}
                                       << 10;       // MiB of a pod, with ResourceHealthStatus on (docs/limits.md)
constexpr std::size_t kLongestName = 253 + 1 + 63;  // of a resource: longer ones the API server refuses

template <class List, class Item>
bool has(const List& list, const Item& item) {
  return std::find(list.begin(), list.end(), item) != list.end();
}

std::string joined(const std::vector<std::string>& parts, std::string_view between) {
  std::string out;
  for (const std::string& part : parts) out += (out.empty() ? "" : std::string(between)) + part;
  return out;
}

std::vector<std::string> split(std::string_view text, std::string_view between) {
  std::vector<std::string> out;
  for (std::size_t at; (at = text.find(between)) != text.npos; text.remove_prefix(at + between.size()))
    out.emplace_back(text.substr(0, at));
  out.emplace_back(text);
  return out;
}

bool matches(const std::string& text, const char* pattern) {
  return text.size() <= kLongestName && std::regex_search(text, std::regex(pattern, std::regex::icase));
}

// ^(/var)?/run/aesmd/*$
bool is_socket_folder(std::string path) {
  while (path.ends_with('/')) path.pop_back();
  return path == "/var/run/aesmd" || path == "/run/aesmd";
}

// "var/run/": a path without what does not count in it.
std::string plain_path(const std::string& path) {
  std::string out;
  for (const std::string& part : split(path, "/"))
    if (!part.empty() && part != ".") out += part + "/";
  return out;
}

std::string host_path(const Node& volume) {
  const Node* host = volume.find("hostPath");
  return host == nullptr ? "" : host->text_of("path");
}

bool is_true(const std::string& text) { return text == "true" || text == "True" || text == "TRUE"; }

struct Container {
  const Node* node;
  std::string name;
  const Node* resources;
  const Node* limits;
  const Node* requests;
  std::vector<std::string> epc;  // which of kNames it has
  bool claims_epc = false;       // a claim of the pod's that is made of one of our templates

  bool has_epc() const { return claims_epc || !epc.empty(); }
  bool asks(std::string_view resource) const { return limits != nullptr && limits->find(resource) != nullptr; }
  std::string limit(std::string_view resource) const { return limits->text_of(resource); }
  // As the API server writes it; as it stands there where it is no whole number.
  std::string shown(std::string_view resource) const {
    const auto amount = parse_amount(limit(resource));
    return amount ? amount->text : limit(resource);
  }
  const std::vector<Node>& mounts() const { return node->items_of("volumeMounts"); }
};

// MiB, rounded up where the name counts bytes; nullopt: not whole, not the same in limits and requests, or less than 0.
std::optional<std::int64_t> mib_of(const Container& container, const std::string& name) {
  const auto amount = parse_amount(container.limit(name));
  if (!amount || amount->value < 0) return std::nullopt;
  if (container.requests != nullptr && container.requests->find(name) != nullptr &&
      parse_amount(container.requests->text_of(name)) != amount)
    return std::nullopt;
  return name == kInBytes ? amount->value / (1 << 20) + (amount->value % (1 << 20) != 0) : amount->value;
}

class Rules {
 public:
  Rules(const Node& pod, const std::string& called, const Cluster& cluster, Changes& changes,
        std::vector<Finding>& findings)
      : pod_(pod),
        spec_(*pod.find("spec")),
        called_(called),
        cluster_(cluster),
        changes_(changes),
        findings_(findings) {
    for (const char* list : {"containers", "initContainers"})
      for (const Node& each : spec_.items_of(list)) {
        const Node* resources = each.find("resources");
        Container one{&each, each.text_of("name"), resources, nullptr, nullptr, {}};
        if (resources != nullptr) {
          one.limits = resources->find("limits");
          one.requests = resources->find("requests");
          for (const Node& claim : resources->items_of("claims"))
            one.claims_epc = one.claims_epc || is_claim_of_epc(claim.text_of("name"));
        }
        for (std::string_view name : kNames)
          if (one.asks(name)) one.epc.emplace_back(name);
        containers_.push_back(std::move(one));
      }
    if (const Node* metadata = pod.find("metadata")) annotations_ = metadata->find("annotations");
    provider_ = annotation(kProvider);
    attestation_ = annotation(kAttestation);
  }

  void judge() {
    asks_epc_ = std::any_of(containers_.begin(), containers_.end(), [](const Container& c) { return c.has_epc(); });
    if (std::any_of(containers_.begin(), containers_.end(), [](const Container& c) { return !c.epc.empty(); })) {
      translate();
      tolerate();
    }
    if (asks_epc_) quote();
    refuse();
    if (cluster_.quote_helper) refuse_mounts();
    warn();
    write_annotations();
  }

 private:
  bool is_claim_of_epc(const std::string& name) const {
    const std::vector<Node>& claims = spec_.items_of("resourceClaims");
    return std::any_of(claims.begin(), claims.end(), [&](const Node& claim) {
      return claim.text_of("name") == name &&
             claim.text_of("resourceClaimTemplateName").starts_with(base::kEpcTemplates);
    });
  }

  // ---- admission-translate.yaml

  void translate() {
    std::vector<std::string> record;
    for (const Container& c : containers_) {
      if (c.epc.empty() || c.epc == std::vector<std::string>{base::kEpcResource}) continue;
      std::vector<std::int64_t> mib;
      std::vector<std::string> asked, foreign;
      for (const std::string& name : c.epc) {
        if (const auto amount = mib_of(c, name)) mib.push_back(*amount);
        asked.push_back(name + "=" + c.shown(name));
        if (name != base::kEpcResource) foreign.push_back(name + "=" + c.shown(name));
      }
      const bool clear = mib.size() == c.epc.size();
      if (!clear || std::count(mib.begin(), mib.end(), mib[0]) != std::ssize(mib)) {
        refused(*c.node,
                "container " + c.name + " asks for " + joined(asked, " and ") +
                    (clear ? ", which mean different amounts; keep one of them (sgx.intel.com/epc counts bytes, "
                             "the others count MiB)"
                           : ", which is no whole number, is not the same in limits and requests, or it is more "
                             "than a node can have; ask for " +
                                 std::string(base::kEpcResource) + ", a number of MiB"));
        continue;
      }
      for (const Node* amounts : {c.limits, c.requests})
        if (amounts != nullptr) rename_epc(*amounts, std::to_string(mib[0]));
      mib_[c.node] = mib[0];
      const std::string entry = joined(foreign, " ") + " is " + std::to_string(mib[0]) + " MiB";
      changed(*c.limits, "container " + c.name + ": " + entry);
      record.push_back(c.name + ": " + entry);
    }
    note(kTranslated, record);
  }

  // The first foreign name becomes ours, unless that is there; the others go.
  void rename_epc(const Node& amounts, const std::string& mib) {
    bool ours = amounts.find(base::kEpcResource) != nullptr;
    std::set<std::size_t> gone;
    for (std::size_t i = 0; i < amounts.children.size(); i += 2) {
      const Node& key = amounts.children[i];
      if (key.text == base::kEpcResource || !has(kNames, key.text)) continue;
      if (ours) {
        gone.insert(i / 2);
        continue;
      }
      changes_.replace(key, amounts.flow ? as_json(base::kEpcResource) : base::kEpcResource);
      changes_.replace(amounts.children[i + 1], mib);
      ours = true;
    }
    changes_.remove(amounts, gone);
  }

  void tolerate() {
    std::set<std::string> tolerated;
    const std::vector<Node>& there = spec_.items_of("tolerations");
    for (const Node& each : there) {
      const std::string effect = each.text_of("effect");
      if ((effect.empty() || effect == "NoSchedule") && each.text_of("operator") == "Exists")
        tolerated.insert(each.text_of("key"));
    }
    std::vector<std::string> blocks, jsons;
    for (std::string_view name : kNames) {
      if (tolerated.contains("") || tolerated.contains(std::string(name))) continue;
      const std::string key(name);
      blocks.push_back("{key: " + key + ", operator: Exists, effect: NoSchedule}");
      jsons.push_back(R"({"key": )" + as_json(key) + R"(, "operator": "Exists", "effect": "NoSchedule"})");
    }
    if (blocks.empty()) return;
    changed(spec_, "the pod tolerates the taints of SGX nodes");
    if (!there.empty()) {
      for (std::size_t i = 0; i < blocks.size(); ++i)
        changes_.add_item(*spec_.find("tolerations"), {blocks[i], jsons[i]});
      return;
    }
    std::string block;
    for (const std::string& one : blocks) block += "\n- " + one;
    changes_.add_entry(spec_, "tolerations", {block, "[" + joined(jsons, ", ") + "]"});
  }

  // ---- admission-quote.yaml

  bool is_aesmd(const Container& c) const { return c.name == "aesmd" && provider_ == "aesmd"; }

  void quote() {
    std::set<std::string> sockets;
    for (const Node& volume : spec_.items_of("volumes"))
      if (is_socket_folder(host_path(volume))) sockets.insert(volume.text_of("name"));
    const bool annotated = annotations_ != nullptr &&
                           (annotations_->find(kProvider) != nullptr || annotations_->find(kAttestation) != nullptr);
    if (!annotated && sockets.empty()) return;

    const bool slots = cluster_.quote_helper && attestation_ != "in-proc" &&
                       std::none_of(containers_.begin(), containers_.end(), [&](auto& c) { return is_aesmd(c); });
    std::vector<std::string> record;
    std::map<std::string, std::size_t> mounted, replaced;  // by volume
    for (const Container& c : containers_) {
      std::set<std::size_t> gone;
      for (std::size_t i = 0; i < c.mounts().size(); ++i) {
        const Node& mount = c.mounts()[i];
        const std::string volume = mount.text_of("name");
        ++mounted[volume];
        if (!sockets.contains(volume)) continue;
        if (slots && c.has_epc() && c.name != provider_ && is_socket_folder(mount.text_of("mountPath")) &&
            mount.text_of("subPath").empty() && mount.text_of("subPathExpr").empty()) {
          gone.insert(i);
          ++replaced[volume];
          const std::string entry = "the mount of " + mount.text_of("mountPath") + " is enclayer.io/quote";
          record.push_back(c.name + ": " + entry);
          changed(mount, "container " + c.name + ": " + entry);
        } else if (!is_aesmd(c) && !is_true(mount.text_of("readOnly"))) {
          make_read_only(mount, c);
        }
      }
      remove_items(*c.node, "volumeMounts", gone);
      if (!c.has_epc()) continue;
      const bool wanted = provider_ == "aesmd" ? !is_aesmd(c) : attestation_ == "out-of-proc";
      if ((wanted || !gone.empty()) && !c.asks(base::kQuoteResource)) add_limit(c, base::kQuoteResource);
      if (wanted || !gone.empty()) quoting_.insert(c.node);
      const bool makes =
          is_aesmd(c) || (!cluster_.provision_with_epc && (c.name == provider_ || attestation_ == "in-proc"));
      if (makes && !c.asks(base::kProvisionResource)) add_limit(c, base::kProvisionResource);
      if (makes) provisioned_.insert(c.node);
    }
    write_new_limits();
    std::set<std::size_t> unused;
    const std::vector<Node>& volumes = spec_.items_of("volumes");
    for (std::size_t i = 0; i < volumes.size(); ++i) {
      const std::string name = volumes[i].text_of("name");
      if (replaced.contains(name) && replaced[name] == mounted[name]) unused.insert(i);
    }
    remove_items(spec_, "volumes", unused);
    note(kSlots, record);
    for (const Container& c : containers_)
      if (c.has_epc() && is_aesmd(c)) give_socket_folder(c, sockets);
  }

  void make_read_only(const Node& mount, const Container& c) {
    const Node* there = mount.find("readOnly");
    there != nullptr ? changes_.replace(*there, "true") : changes_.add_entry(mount, "readOnly", {"true", "true"});
    changed(mount, "container " + c.name + ": the mount of " + mount.text_of("mountPath") + " is read-only");
  }

  // Intel's aesmd makes the socket, where its webhook gives it a folder.
  void give_socket_folder(const Container& c, const std::set<std::string>& sockets) {
    for (const Node& mount : c.mounts())
      if (is_socket_folder(mount.text_of("mountPath"))) return;
    std::string volume = "aesmd-socket";
    if (!sockets.empty())
      for (const Node& each : spec_.items_of("volumes"))
        if (sockets.contains(each.text_of("name"))) {
          volume = each.text_of("name");
          break;
        }
    if (sockets.empty())
      append(spec_, "volumes",
             {"{name: aesmd-socket, hostPath: {path: /var/run/aesmd, type: DirectoryOrCreate}}",
              R"({"name": "aesmd-socket", "hostPath": {"path": "/var/run/aesmd", "type": "DirectoryOrCreate"}})"});
    append(*c.node, "volumeMounts",
           {"{name: " + volume + ", mountPath: /var/run/aesmd}",
            R"({"name": )" + as_json(volume) + R"(, "mountPath": "/var/run/aesmd"})"});
    changed(*c.node, "container " + c.name + ": mounts /var/run/aesmd");
  }

  // ---- admission-requests.yaml

  void refuse() {
    for (const Container& c : containers_) {
      if (c.limits == nullptr || c.limits->kind != Node::Kind::kMap) continue;
      for (std::size_t i = 0; i < c.limits->children.size(); i += 2) {
        const std::string& name = c.limits->children[i].text;
        if (has(kNames, name) || has(kOtherNames, name) ||
            !matches(name,
                     "^sgx[.]|^enclayer[.]io/|^([a-z0-9-]+[.])*(intel|azure|alibabacloud|alibaba|aliyun|openenclave)[.]"
                     "[a-z]+/.*(sgx|epc)|/sgx[_-]?epc[_-](mem[_-]in[_-])?mi?b$"))
          continue;
        const std::string epc = std::string(base::kEpcResource) + ", a number of MiB";
        refused(
            c.limits->children[i],
            "container " + c.name + " asks for " + name + ", which nobody offers: " +
                (name == base::kForeignEpc[3] ? "SCONE's name counts enclaves and says nothing of EPC; ask for " + epc
                 : matches(name, "quot")      ? "quotes from the quote helper are enclayer.io/quote: 1"
                 : matches(name, "provi")     ? "the provisioning device is sgx.intel.com/provision: 1"
                 : matches(name, "encl.*/.*encl|/sgx_encl|intel.*/encl")
                     ? "an enclave device without EPC is sgx.intel.com/enclave: 1; EPC is " + epc
                     : "EPC is " + epc));
      }
    }
    bool in_limits = false;
    bool names_sgx_resource = false;
    bool in_proc = attestation_ == "in-proc";
    for (const Container& c : containers_) {
      names_sgx_resource = names_sgx_resource || c.claims_epc;
      in_proc = in_proc || (c.claims_epc && provider_ != "aesmd" && !provider_.empty() && c.name == provider_);
      in_limits = in_limits || (quoting_.contains(c.node) && (attestation_ == "in-proc" || c.name == provider_));
      if (c.limits == nullptr) continue;
      for (std::size_t i = 0; i < c.limits->children.size(); i += 2)
        names_sgx_resource = names_sgx_resource || matches(c.limits->children[i].text, "sgx|/epc|^enclayer[.]io/");
      in_proc = in_proc || (provider_ != "aesmd" && !provider_.empty() && c.name == provider_);
      in_limits = in_limits || (c.asks(base::kQuoteResource) && (attestation_ == "in-proc" || c.name == provider_));
    }
    if (!names_sgx_resource) return;
    if (!attestation_.empty() && attestation_ != "in-proc" && attestation_ != "out-of-proc")
      refused(pod_, "annotation enclayer.io/attestation is " + attestation_ +
                        "; it can be out-of-proc (quotes from the quote helper) or in-proc");
    if (in_proc && (attestation_ == "out-of-proc" || provider_ == "aesmd" || in_limits))
      refused(pod_, "the pod wants its quotes in-proc (" +
                        (attestation_ == "in-proc" ? "enclayer.io/attestation: in-proc"
                                                   : "sgx.intel.com/quote-provider: " + provider_) +
                        ") and out-of-proc (" +
                        (attestation_ == "out-of-proc" ? "enclayer.io/attestation: out-of-proc"
                         : provider_ == "aesmd"        ? "sgx.intel.com/quote-provider: aesmd"
                                                       : "enclayer.io/quote") +
                        ") at once; keep one of them, out-of-proc unless you know why not");
  }

  // ---- quote-helper/admission-mounts.yaml

  void refuse_mounts() {
    for (const Container& c : containers_)
      for (const Node& mount : c.mounts()) {
        if (is_true(mount.text_of("readOnly"))) continue;
        for (const Node& volume : spec_.items_of("volumes")) {
          if (volume.find("hostPath") == nullptr || volume.text_of("name") != mount.text_of("name")) continue;
          const std::string path = plain_path(host_path(volume) + "/" + mount.text_of("subPath"));
          for (const std::string folder : {"var/run/aesmd/", "run/aesmd/", "var/run/enclayer/", "run/enclayer/"}) {
            const bool sockets = path.starts_with("var/run/aesmd/") || path.starts_with("run/aesmd/");
            if (!(folder.starts_with(path) || path.starts_with(folder)) || (c.has_epc() && sockets)) continue;
            // Mounts that became read-only beside EPC are judged as they are then.
            if (asks_epc_ && is_socket_folder(host_path(volume)) && !is_aesmd(c)) continue;
            refused(mount,
                    "container " + c.name + " mounts /" + path +
                        " of the node and can write there, so that it could take the place of the quote helper "
                        "(/var/run/aesmd, /var/run/enclayer); mount it with readOnly: true, or a smaller folder, "
                        "or label the namespace enclayer.io/allow-socket-mounts=true");
            break;
          }
        }
      }
  }

  // ---- admission-warnings.yaml, and admission-provisioning.yaml, whose label of the namespace nobody knows here

  void warn() {
    std::int64_t all = 0;
    bool huge = false;
    bool names = false;
    for (const Container& c : containers_) {
      names = names || c.claims_epc;
      if (c.limits == nullptr || c.limits->kind != Node::Kind::kMap) {
        if (provisioned_.contains(c.node)) warn_of_provisioning(*c.node, c);
        continue;
      }
      for (std::size_t i = 0; i < c.limits->children.size(); i += 2)
        names = names || c.limits->children[i].text.find("sgx") != std::string::npos;
      if (c.asks(base::kProvisionResource) || provisioned_.contains(c.node)) warn_of_provisioning(*c.limits, c);
      if (c.epc.empty()) continue;
      if (const auto bytes = c.asks(kInBytes) ? parse_amount(c.limit(kInBytes)) : std::nullopt;
          bytes && !bytes->text.ends_with('i') && !c.limit(kInBytes).ends_with('i') && bytes->value > 0 &&
          bytes->value < 1 << 20)
        warned(*c.limits, c.name + ": sgx.intel.com/epc=" + bytes->text +
                              " is 1 MiB; sgx.intel.com/epc counts bytes: is a Mi missing?");
      const auto asked = parse_amount(c.limit(c.epc[0]));
      const auto known = mib_.find(c.node);
      if (!asked && known == mib_.end()) continue;
      const std::int64_t mib = known != mib_.end() ? known->second : asked->value;
      all += std::min(mib, INT64_MAX / 2 - all);
      if ((mib <= kMostDevices || cluster_.claims) &&
          !(c.epc[0] == base::kEpcResource && c.limit(c.epc[0]).ends_with('i')))
        continue;
      huge = true;
      warned(*c.limits, "container " + c.name + " asks for " + std::to_string(mib) +
                            " MiB, and no node can offer more than " + std::to_string(kMostDevices) + ": " +
                            base::kEpcResource + " counts MiB, so 10 MiB is 10, not 10Mi");
    }
    if (!huge && all > kMostInStatus && !cluster_.claims)
      warned(spec_, "the pod asks for " + std::to_string(all) +
                        " MiB; with ResourceHealthStatus on, as Kubernetes 1.36 comes, the status of a pod with more "
                        "than 49152 MiB (48 GiB) cannot be relied on to reach the API server (docs/limits.md)");
    const bool named = std::any_of(containers_.begin(), containers_.end(), [&](const Container& c) {
      return (c.limits != nullptr || c.claims_epc) && c.name == provider_;
    });
    if (!provider_.empty() && provider_ != "aesmd" && !named)
      warned(pod_, "annotation sgx.intel.com/quote-provider is " + provider_ +
                       ", which is neither aesmd nor a container of this pod that asks for EPC: it has no effect");
    if (!names && !(provider_.empty() && attestation_.empty()))
      warned(pod_,
             "the pod says where its quotes come from, but no container asks for EPC; the annotation has no effect");
    for (const Node& volume : spec_.items_of("volumes")) {
      const std::string path = host_path(volume);
      const std::string plain = plain_path(path);
      if (!names && (plain.starts_with("dev/sgx") || plain.starts_with("dev/isgx")))
        warned(volume,
               "the pod mounts an SGX device of the node and asks for no EPC: what it uses is counted nowhere; "
               "ask for " +
                   std::string(base::kEpcResource) + ", a number of MiB, and mount nothing");
      if (asks_epc_ && !is_socket_folder(path) &&
          (path.starts_with("/var/run/aesmd/") || path.starts_with("/run/aesmd/")))
        warned(volume,
               "the pod mounts a file or folder below /var/run/aesmd: mount that folder itself, or ask for "
               "enclayer.io/quote: 1 without a volume");
    }
  }

  void warn_of_provisioning(const Node& where, const Container& c) {
    warned(where, "container " + c.name +
                      " asks for sgx.intel.com/provision, which needs: enclayer update --in-proc-attestation, and "
                      "kubectl label namespace NAME enclayer.io/allow-provisioning=true");
  }

  // ---- what they share

  std::string annotation(std::string_view key) const {
    return annotations_ == nullptr ? "" : annotations_->text_of(key);
  }

  void add_limit(const Container& c, std::string_view resource) {
    if (c.limits == nullptr)
      new_limits_[c.resources].emplace_back(resource);
    else
      changes_.add_entry(*c.limits, resource, {"1", "1"});
    changed(c.limits == nullptr ? *c.node : *c.limits,
            "container " + c.name + " asks for " + std::string(resource) + ": 1");
  }

  // Of containers that had a claim alone.
  void write_new_limits() {
    for (const auto& [resources, names] : new_limits_) {
      std::string block, json;
      for (const std::string& name : names) {
        block += "\n  " + name + ": 1";
        json += (json.empty() ? "" : ", ") + as_json(name) + ": 1";
      }
      changes_.add_entry(*resources, "limits", {block, "{" + json + "}"});
    }
  }

  void remove_items(const Node& owner, std::string_view list, const std::set<std::size_t>& gone) {
    if (gone.empty()) return;
    gone.size() == owner.items_of(list).size() ? changes_.remove_entry(owner, list)
                                               : changes_.remove(*owner.find(list), gone);
  }

  void append(const Node& owner, std::string_view list, const Value& value) {
    owner.items_of(list).empty() ? changes_.add_entry(owner, list, {"\n- " + value.block, "[" + value.json + "]"})
                                 : changes_.add_item(*owner.find(list), value);
  }

  // What is said in an annotation already is not said twice.
  void note(std::string_view key, const std::vector<std::string>& entries) {
    const std::string before = annotation(key);
    std::vector<std::string> all;
    if (!before.empty()) all.push_back(before);
    const std::vector<std::string> known = split(before, "; ");
    for (const std::string& entry : entries)
      if (!has(known, entry)) all.push_back(entry);
    if (all.size() > (before.empty() ? 0U : 1U)) notes_.emplace_back(key, joined(all, "; "));
  }

  void write_annotations() {
    if (notes_.empty()) return;
    std::string block, json;
    for (const auto& [key, value] : notes_) {
      block += "\n  " + key + ": " + as_json(value);
      json += (json.empty() ? "" : ", ") + as_json(key) + ": " + as_json(value);
    }
    const Node* metadata = pod_.find("metadata");
    if (metadata == nullptr) {
      std::string deeper = "\n  annotations:";
      for (char c : block) deeper += c == '\n' ? std::string("\n  ") : std::string(1, c);
      changes_.add_entry(pod_, "metadata", {deeper, "{\"annotations\": {" + json + "}}"});
    } else if (annotations_ == nullptr || annotations_->children.empty()) {
      changes_.add_entry(*metadata, "annotations", {block, "{" + json + "}"});
    } else {
      for (const auto& [key, value] : notes_) {
        const Node* there = annotations_->find(key);
        there != nullptr ? changes_.replace(*there, as_json(value))
                         : changes_.add_entry(*annotations_, key, {as_json(value), as_json(value)});
      }
    }
  }

  void changed(const Node& where, const std::string& what) { say(Finding::Kind::kChanged, where, what); }
  void warned(const Node& where, const std::string& what) { say(Finding::Kind::kWarned, where, what); }
  void refused(const Node& where, const std::string& what) { say(Finding::Kind::kRefused, where, what); }
  void say(Finding::Kind kind, const Node& where, const std::string& what) {
    findings_.push_back({kind, where.line, called_ + what});
  }

  const Node& pod_;
  const Node& spec_;
  const Node* annotations_ = nullptr;
  const std::string& called_;
  const Cluster& cluster_;
  Changes& changes_;
  std::vector<Finding>& findings_;
  std::vector<Container> containers_;
  std::string provider_, attestation_;
  bool asks_epc_ = false;
  std::map<const Node*, std::int64_t> mib_;                     // of containers that were translated
  std::map<const Node*, std::vector<std::string>> new_limits_;  // by `resources`
  std::set<const Node*> quoting_, provisioned_;  // containers that get enclayer.io/quote, the provisioning device
  std::vector<std::pair<std::string, std::string>> notes_;  // annotations to write
};

}  // namespace

bool names_sgx(const Node& node) {
  static constexpr std::string_view kWords[] = {"sgx", "SGX", "/epc", "aesmd", "enclayer.io/", base::kEpcTemplates};
  for (std::string_view word : kWords)
    if (node.text.find(word) != node.text.npos) return true;
  return std::any_of(node.children.begin(), node.children.end(), names_sgx);
}

void judge_pod(const Node& pod, const std::string& called, const Cluster& cluster, Changes& changes,
               std::vector<Finding>& findings) {
  Rules(pod, called, cluster, changes, findings).judge();
}

}  // namespace enclayer::translate
