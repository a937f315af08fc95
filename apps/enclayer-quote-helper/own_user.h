// The front end's own user. With --identify-pods it sees all processes of the node (hostPID), and user 0 could do
// things to them, even without any capability: so it gives user 0 up before it talks to anybody, and takes a user that
// nobody else on the node is likely to have. A user shared with some pod would let each trace the other.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string>
#include <vector>

#include "enclayer/error.h"

namespace enclayer::quote_helper {

struct User {
  uid_t uid = 64'213;
  gid_t gid = 64'213;
};

// "1000" or "1000:2000"; a group that is left out is the user's number. 0 is refused.
Result<User> parse_user(const std::string& text);

// A folder that the user has to be able to change, and what may be in it from an earlier run; nothing else in it is
// touched.
struct OwnFolder {
  std::filesystem::path path;
  std::vector<std::string> entries;  // files, or folders with all that is in them
};

// Makes the folders where they are missing and gives them to the user, except those that everybody may write to, as
// /tmp; then becomes the user, without capabilities, for good. The groups of the SGX devices in `dev_dir` that are not
// for everybody are kept, for the quote workers. To be called by user 0 while there is one thread.
Result<> become(const User& user, const std::vector<OwnFolder>& folders, const std::filesystem::path& dev_dir);

}  // namespace enclayer::quote_helper
