// SPDX-License-Identifier: Apache-2.0
// completion.bash, completion.zsh and completion.fish, as they lie beside this file.
#pragma once

namespace enclayer::apps {

extern const char kBashCompletion[], kZshCompletion[], kFishCompletion[];

}  // namespace enclayer::apps
