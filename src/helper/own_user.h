// SPDX-License-Identifier: Apache-2.0
// The helper's own user. It is started as user 0 because its folders are root's, and nobody else could let it into
// them; it gives user 0 up before it talks to anybody, and takes a user that nobody else on the node is likely to have.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <vector>

#include "enclayer/error.h"

namespace enclayer::helper {

// Makes the folders where they are missing and lets the group of the slots (slots::kHelperGroup) into them (0775),
// except those that everybody may write to, as /tmp; then becomes the user in that group, without capabilities, for
// good. Needs SETUID and SETGID, and to be in the group (supplementalGroups of a pod) or to have CHOWN. The groups of
// the SGX devices in `dev_dir` that are not for everybody are kept, for the quote workers. To be called by user 0 while
// there is one thread.
//
// kPermissionDenied, with the remedy, where a folder is neither user 0's nor the user's, or has something in it that is
// another's: what a helper left behind that ran as user 0.
Result<> become(uid_t user, const std::vector<std::filesystem::path>& folders, const std::filesystem::path& dev_dir);

}  // namespace enclayer::helper
