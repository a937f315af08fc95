// SPDX-License-Identifier: Apache-2.0
// What `enclayer enable` and `enclayer update` do: look, check, say what is in the way, apply, wait.
#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "addon/names.h"
#include "addon/protection.h"
#include "addon/removal.h"
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
    ENCLAYER_TRY(auto connected, connect(flags_.cluster, around_.search_path));
    const ApiServer& api = *connected;
    ENCLAYER_TRY(Cluster cluster, read_cluster(api, Scope::kAll));
    ENCLAYER_TRY(auto before, remembered(cluster));
    ENCLAYER_TRY(Settings settings, settle(cluster, before, wanted));
    settings_ = settings;
    if (auto obstacles = in_the_way(cluster); !obstacles.empty()) {
      std::string message = "this cluster has another SGX add-on; nothing was changed. Never two plugins on one name:";
      for (const std::string& obstacle : obstacles) message += "\n  " + obstacle;
      return Error(ErrorKind::kConflict, message);
    }
    if (const std::string claims = claims_held(cluster); settings.dra_epc.empty() && !claims.empty())
      return Error(ErrorKind::kConflict, claims +
                                             "; nothing was changed. Without the driver their pods run on, and "
                                             "cannot end. End them first, then switch it off");
    ENCLAYER_TRY(Plan planned, plan(cluster, settings, before));
    if (!flags_.dry_run) ENCLAYER_CHECK(check_rights(api, planned.documents));
    for (std::string& text : planned.left_out) warn(std::move(text));
    for (std::string& text : worth_knowing(cluster, settings)) warn(std::move(text));
    for (const std::string& text : cluster.not_seen) warn("not everything is known: " + text);

    ENCLAYER_TRY(auto there, live(api, planned.documents));
    if (auto names = taken(there); !names.empty() && !flags_.adopt) {
      std::string message = "these names are taken by objects that are not enclayer's; nothing was changed:";
      for (const std::string& name : names) message += "\n  " + name;
      return Error(ErrorKind::kConflict,
                   message + "\nRemove or rename them, choose another --namespace, or take them over with --adopt");
    }
    ENCLAYER_TRY(auto unwanted, leftovers(api, cluster, planned.documents));
    bool has_namespace = std::any_of(there.begin(), there.end(), [&](const Object& object) {
      return object.kind == "Namespace" && object.name == settings.name_space;
    });
    if (flags_.dry_run) return show_difference(api, planned, has_namespace, unwanted);

    // The API server tries it all before anything is touched: conflicts and mistakes show here.
    bool would_change = true;
    if (has_namespace) {
      ENCLAYER_TRY(auto would_be, apply(api, planned.documents, {.force = flags_.adopt, .dry = true}));
      would_change = !compare(there, would_be).none();
      ENCLAYER_CHECK(try_new_helper(api, cluster, there, would_be));
    }
    if (would_change) {
      ENCLAYER_TRY(auto after, apply(api, planned.documents, {.force = flags_.adopt}));
      changes_ = compare(there, after);
    } else {
      changes_.unchanged = static_cast<int>(planned.documents.size());
    }
    if (!unwanted.empty()) {
      ENCLAYER_CHECK(remove(api, unwanted, flags_.limits.timeout));
      for (const Reference& object : unwanted) changes_.deleted.push_back(object.title());
    }
    say_changes();
    if (flags_.no_wait) return finish(nullptr);
    ClusterWatch watch(api, std::move(cluster));
    ENCLAYER_CHECK(wait_until_ready(api, watch, flags_.limits, flags_.allow_gap, progress()));
    // API servers act on new policies after a second or two; ten are for those that are busy.
    if (watch.cluster().has_mutating) translation_ = try_translation(api, watch.cluster(), std::chrono::seconds(10));
    if (translation_ && translation_->works == Translation::kNo)
      warn("other vendors' names are not translated, because " + translation_->why);
    return finish(&watch.cluster());
  }

 private:
  // Progress: for people among the results, beside them where a program reads those.
  void say(const std::string& line) const { print(flags_.output == "json" ? stderr : stdout, line); }
  Progress progress() const {
    return [this](const std::string& line) { say(line); };
  }

  void warn(std::string text) {
    print(stderr, name_ + ": warning: " + text);
    warnings_.push_back(std::move(text));
  }

  Result<Settings> settle(const Cluster& cluster, const std::optional<Remembered>& before, const Wanted& wanted) {
    std::string here = cluster.name_space();
    if (!before && !here.empty() && !flags_.adopt)
      return Error(
          ErrorKind::kConflict,
          "the add-on is on already, in namespace " + here + ": " +
              (cluster.kept_by().empty() ? "somebody applied its manifests" : cluster.kept_by() + " keeps it") +
              ". Nothing was changed. Change it there, or let this command take it over with --adopt");
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

  Result<> show_difference(const ApiServer& api, const Plan& planned, bool has_namespace,
                           const std::vector<Reference>& unwanted) {
    std::string difference;
    if (has_namespace) {
      // Conflicts and mistakes are the API server's to say; the diff is for people.
      ENCLAYER_CHECK(apply(api, planned.documents, {.force = flags_.adopt, .dry = true}));
      ENCLAYER_TRY(difference, diff(api, planned.documents, flags_.adopt));
    } else {
      for (const Document& document : planned.documents)
        difference += "+ " + document.kind + " " + (document.name_space.empty() ? "" : document.name_space + "/") +
                      document.name + "\n";
    }
    for (const Reference& object : unwanted) difference += "- " + object.title() + "\n";
    if (flags_.output == "json") {
      ordered_json out = {
          {"dry_run", true}, {"changed", !difference.empty()}, {"diff", difference}, {"warnings", warnings_}};
      print(stdout, out.dump(2, ' ', false, ordered_json::error_handler_t::replace));
    } else if (difference.empty()) {
      say("nothing would change");
    } else {
      difference.pop_back();  // its last line's end
      say((has_namespace ? "" : "would be made (`enclayer render` prints them):\n") + difference);
    }
    return {};
  }

  Result<> try_new_helper(const ApiServer& api, const Cluster& cluster, const std::vector<Object>& there,
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
    return self_test(api, cluster, new_one->content, flags_.limits, progress());
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
        out["translation_works"] = !translation_ || translation_->works == Translation::kNotKnown
                                       ? ordered_json()
                                       : ordered_json(translation_->works == Translation::kYes);
      }
      out["warnings"] = warnings_;
      print(stdout, out.dump(2, ' ', false, ordered_json::error_handler_t::replace));
      return {};
    }
    say("enclayer is on: namespace " + settings_.name_space + ", platform " + platform + ", quote helper " +
        (settings_.quote_helper ? "on" : "off") +
        (settings_.in_proc_attestation ? ", in-process attestation allowed" : ""));
    if (cluster == nullptr) {
      say("`" + around_.program + " show` tells when the nodes have it");
      return {};
    }
    if (translation_) say("translation works here: " + translation_->text());
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
  std::optional<Translation> translation_;  // nullopt: not tried
  std::vector<std::string> warnings_;
};

}  // namespace

int change(const ChangeFlags& flags, const Surroundings& around, const Wanted& wanted, bool enable) {
  Change one(flags, around, enable);
  if (auto done = one.run(wanted); !done) return fail(one.name(), done.error());
  return 0;
}

}  // namespace enclayer::apps
