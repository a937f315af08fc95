// SPDX-License-Identifier: Apache-2.0
// What `enclayer enable` and `enclayer update` do: look, check, say what is in the way, apply, wait.
#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "addon/names.h"
#include "addon/self_test.h"
#include "addon/state.h"
#include "addon_commands.h"
#include "base/version.h"
#include "cli_support.h"

namespace enclayer::apps {
namespace {

using namespace addon;
using manifests::Document;
using manifests::Settings;
using nlohmann::ordered_json;

class Change {
 public:
  Change(const ChangeFlags& flags, const Surroundings& around, bool enable)
      : flags_(flags), around_(around), enable_(enable), name_(around.program + (enable ? " enable" : " update")) {}

  const std::string& name() const { return name_; }

  Result<> run(const Wanted& wanted) {
    ENCLAYER_TRY(Kubectl kubectl, connect(flags_.cluster, around_.search_path));
    ENCLAYER_TRY(Cluster cluster, look(kubectl, Look::kAll));
    ENCLAYER_TRY(auto before, remembered(cluster));
    ENCLAYER_TRY(Settings settings, settle(cluster, before, wanted));
    settings_ = settings;
    if (auto obstacles = in_the_way(cluster); !obstacles.empty()) {
      std::string message = "this cluster has another SGX add-on; nothing was changed. Never two plugins on one name:";
      for (const std::string& obstacle : obstacles) message += "\n  " + obstacle;
      return Error(ErrorKind::kConflict, message);
    }
    ENCLAYER_TRY(Plan planned, plan(cluster, settings, before));
    if (!flags_.dry_run) ENCLAYER_CHECK(check_rights(kubectl, planned.documents, settings.name_space));
    for (std::string& text : planned.left_out) warn(std::move(text));
    for (std::string& text : worth_knowing(cluster, settings)) warn(std::move(text));
    for (const std::string& text : cluster.not_seen) warn("not everything is known: " + text);

    ENCLAYER_TRY(auto there, live(kubectl, planned.documents));
    if (auto names = taken(there); !names.empty() && !flags_.adopt) {
      std::string message = "these names are taken by objects that are not enclayer's; nothing was changed:";
      for (const std::string& name : names) message += "\n  " + name;
      return Error(ErrorKind::kConflict,
                   message + "\nRemove or rename them, choose another --namespace, or take them over with --adopt");
    }
    ENCLAYER_TRY(auto unwanted, leftovers(kubectl, cluster, planned.documents));
    bool has_namespace = std::any_of(there.begin(), there.end(), [&](const Object& object) {
      return object.kind == "Namespace" && object.name == settings.name_space;
    });
    if (flags_.dry_run) return show_difference(kubectl, planned, has_namespace, unwanted);

    // The API server tries it all before anything is touched: conflicts and mistakes show here.
    bool would_change = true;
    if (has_namespace) {
      ENCLAYER_TRY(auto would_be, apply(kubectl, planned.documents, {.force = flags_.adopt, .dry = true}));
      would_change = !compare(there, would_be).none();
      ENCLAYER_CHECK(try_new_helper(kubectl, cluster, there, would_be));
    }
    if (would_change) {
      ENCLAYER_TRY(auto after, apply(kubectl, planned.documents, {.force = flags_.adopt}));
      changes_ = compare(there, after);
    } else {
      changes_.unchanged = static_cast<int>(planned.documents.size());
    }
    if (!unwanted.empty()) {
      ENCLAYER_CHECK(remove(kubectl, unwanted, true, flags_.patience.timeout));
      for (const Object& object : unwanted) changes_.deleted.push_back(object.title());
    }
    say_changes();
    if (flags_.no_wait) return finish(nullptr);
    auto now = wait(kubectl, planned.documents);
    if (!now) return now.error();
    return finish(&*now);
  }

 private:
  // Progress: for people among the results, beside them where a program reads those.
  void say(const std::string& line) const {
    std::FILE* to = flags_.output == "json" ? stderr : stdout;
    std::fprintf(to, "%s\n", line.c_str());
    std::fflush(to);
  }

  void warn(std::string text) {
    std::fprintf(stderr, "%s: warning: %s\n", name_.c_str(), text.c_str());
    warnings_.push_back(std::move(text));
  }

  Result<Settings> settle(const Cluster& cluster, const std::optional<Remembered>& before, const Wanted& wanted) {
    std::string here = cluster.name_space();
    if (!before && !here.empty() && !flags_.adopt)
      return Error(ErrorKind::kConflict,
                   "there is an enclayer in namespace " + here +
                       " that this command did not put there (Helm? GitOps?). Change it the way it came, or let this "
                       "command take it over with --adopt");
    if (!before && !enable_)
      return Error(ErrorKind::kNotFound,
                   "enclayer is not switched on in this cluster; `" + around_.program + " enable` does that");
    Settings base = before ? before->settings : Settings();
    if (!here.empty()) base.name_space = here;
    Settings settings;
    if (flags_.rollback) {
      ENCLAYER_TRY(settings, previous_settings(*before));
    } else {
      ENCLAYER_TRY(settings, wanted(base));
    }
    if (!here.empty() && settings.name_space != here)
      return Error(ErrorKind::kConflict, "there is an enclayer in namespace " + here + " already; a second one in " +
                                             settings.name_space + " would offer the same EPC twice. To move it: `" +
                                             around_.program + " disable`, then enable it there");
    ENCLAYER_CHECK(check(settings));
    return settings;
  }

  Result<> show_difference(const Kubectl& kubectl, const Plan& planned, bool has_namespace,
                           const std::vector<Object>& unwanted) {
    std::string difference;
    if (has_namespace) {
      ENCLAYER_TRY(difference, diff(kubectl, planned.documents, flags_.adopt));
    } else {
      for (const Document& document : planned.documents)
        difference += "+ " + document.kind + " " + (document.name_space.empty() ? "" : document.name_space + "/") +
                      document.name + "\n";
    }
    for (const Object& object : unwanted) difference += "- " + object.title() + "\n";
    if (flags_.output == "json") {
      ordered_json out = {
          {"dry_run", true}, {"changed", !difference.empty()}, {"diff", difference}, {"warnings", warnings_}};
      std::printf("%s\n", out.dump(2, ' ', false, ordered_json::error_handler_t::replace).c_str());
    } else if (difference.empty()) {
      std::printf("nothing would change\n");
    } else {
      std::printf("%s%s", has_namespace ? "" : "would be made (`enclayer render` prints them):\n", difference.c_str());
    }
    return {};
  }

  Result<> try_new_helper(const Kubectl& kubectl, const Cluster& cluster, const std::vector<Object>& there,
                          const std::vector<Object>& would_be) {
    auto helper = [](const std::vector<Object>& objects) {
      return std::find_if(objects.begin(), objects.end(),
                          [](const Object& object) { return object.kind == "DaemonSet" && object.name == kHelper; });
    };
    auto old_one = helper(there), new_one = helper(would_be);
    if (old_one == there.end() || new_one == would_be.end()) return {};
    ENCLAYER_TRY(bool differs, other_pods(old_one->content, new_one->content));
    if (!differs) return {};
    if (flags_.no_self_test) return {};
    return self_test(kubectl, cluster, new_one->content, flags_.patience,
                     [this](const std::string& line) { say(line); });
  }

  void say_changes() const {
    auto list = [this](const char* what, const std::vector<std::string>& titles) {
      for (const std::string& title : titles) say(std::string(what) + " " + title);
    };
    list("made   ", changes_.created);
    list("changed", changes_.changed);
    list("removed", changes_.deleted);
    if (changes_.none())
      say("nothing to change: all " + std::to_string(changes_.unchanged) + " objects are as they should be");
  }

  // With --allow-gap, helpers that have no room beside the old ones take their place.
  Result<Cluster> wait(const Kubectl& kubectl, std::vector<Document> documents) {
    bool gap_made = false;
    std::function<Result<>()> gap;
    if (flags_.allow_gap)
      gap = [&]() -> Result<> {
        auto document = std::find_if(documents.begin(), documents.end(), [](const Document& one) {
          return one.kind == "DaemonSet" && one.name == kHelper;
        });
        if (document == documents.end()) return {};
        Document changed = *document;
        for (auto [from, to] :
             {std::pair{"maxSurge: 1", "maxSurge: 0"}, std::pair{"maxUnavailable: 0", "maxUnavailable: 1"}}) {
          std::size_t found = changed.text.find(from);
          if (found == std::string::npos)
            return Error(ErrorKind::kInternal, "the quote helper's manifest has no \"" + std::string(from) + "\"");
          changed.text.replace(found, std::string(from).size(), to);
        }
        gap_made = true;
        ENCLAYER_CHECK(apply(kubectl, {&changed, 1}, {.force = flags_.adopt}));
        return {};
      };
    auto now = wait_until_ready(
        kubectl, settings_.name_space, flags_.patience, [this](const std::string& line) { say(line); }, gap);
    if (gap_made) ENCLAYER_CHECK(apply(kubectl, documents, {.force = flags_.adopt}));
    return now;
  }

  // `cluster`: as it is now; nullptr: nobody waited.
  Result<> finish(const Cluster* cluster) {
    int offering = 0;
    std::int64_t epc = 0;
    if (cluster != nullptr)
      for (const Node& node : cluster->nodes)
        if (std::int64_t offered = amount(node.allocatable, kEpcResource); offered > 0) {
          ++offering;
          epc += offered;
        }
    std::string platform(to_string(settings_.platform));
    if (flags_.output == "json") {
      ordered_json out = {{"changed", !changes_.none()}, {"namespace", settings_.name_space},
                          {"version", base::kVersion},   {"settings", ordered_json::parse(to_json(settings_))},
                          {"created", changes_.created}, {"updated", changes_.changed},
                          {"deleted", changes_.deleted}, {"waited", cluster != nullptr}};
      if (cluster != nullptr) {
        out["nodes_with_epc"] = offering;
        out["epc_mib"] = epc;
      }
      out["warnings"] = warnings_;
      std::printf("%s\n", out.dump(2, ' ', false, ordered_json::error_handler_t::replace).c_str());
      return {};
    }
    say("enclayer is on: namespace " + settings_.name_space + ", platform " + platform + ", quote helper " +
        (settings_.quote_helper ? "on" : "off") +
        (settings_.in_proc_attestation ? ", in-process attestation allowed" : ""));
    if (cluster == nullptr) {
      say("`" + around_.program + " show` tells when the nodes have it");
      return {};
    }
    if (offering > 0) {
      say(std::to_string(offering) + (offering == 1 ? " node offers " : " nodes offer ") + grouped(epc) +
          " MiB of EPC. A pod gets some with\n  resources: {limits: {" + std::string(kEpcResource) + ": 10}}");
      return {};
    }
    const DaemonSet* plugin = cluster->ours(kPlugin);
    if (plugin != nullptr && plugin->wanted > 0)
      say("no node offers EPC yet; `" + around_.program + " show` tells when one does, or why not");
    else if (settings_.platform == manifests::Platform::kSim)
      say("no node takes part yet. Name those that shall pretend to have SGX:\n  kubectl label node NODE " +
          std::string(kSimLabel) + "=true");
    else
      say("no node has usable SGX so far; one whose SGX appears later is picked up within a minute. Why not, by node:\n"
          "  kubectl logs -n " +
          settings_.name_space + " ds/" + std::string(kDetect) + "\nWithout SGX hardware: --platform sim");
    return {};
  }

  const ChangeFlags& flags_;
  const Surroundings& around_;
  bool enable_;
  std::string name_;
  Settings settings_;
  Changes changes_;
  std::vector<std::string> warnings_;
};

}  // namespace

int change(const ChangeFlags& flags, const Surroundings& around, const Wanted& wanted, bool enable) {
  Change one(flags, around, enable);
  if (auto done = one.run(wanted); !done) return fail(one.name(), done.error());
  return 0;
}

}  // namespace enclayer::apps
