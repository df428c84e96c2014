// The options as the operator declares them, while the node runs.
//
// What is declared at first are the arguments of the process. Of a later declaration, what CONFIG SET could change
// is put in force at once, and what is declared no more gets its default back; the rest takes a new process.
// Declarations are compared with each other and never with the value that an option has now: what a client has set
// by CONFIG SET holds until the declaration of that very option changes, or the process ends.
// One thread at a time.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>

#include "common/control/messages.h"
#include "node/config/config.h"
#include "node/config/option_table.h"

namespace understudy::config {

class Declaration {
 public:
  // arguments: those that `config` was loaded with. It must outlive this object.
  Declaration(Config& config, std::span<const std::string> arguments);

  void Take(const control::Parameters& declared);
  const control::ParametersState& state() const { return state_; }

 private:
  struct Given {
    std::string name;  // as it was written, an alias perhaps
    std::string value;
  };
  // declared: nullptr if it is no more.
  void TakeOne(const std::string& key, const Given* declared, bool held);
  void LeaveOpen(const Option* option, const std::string& name, const Given* before, std::string reason);

  Config& config_;
  std::map<std::string, Given> in_force_;  // by the option's name
  control::ParametersState state_;
};

}  // namespace understudy::config
