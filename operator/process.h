// The operator as one object: builds every part, starts them in order, stops them in the reverse order.
//
// Start: probes and metrics, credentials, the key, caches, leader election, controllers. Stop (SIGTERM):
// leadership is given up first, so that the standby takes over at once, then controllers, links, caches.
#pragma once

#include <string>
#include <vector>

#include "common/clock.h"
#include "common/result.h"

namespace understudy {

struct OperatorOptions {
  std::string log_level = "info";
  std::string node_image;      // for nodes whose spec names none
  std::string name_space;      // the operator's own; empty = that of its service account
  std::string pod_name;        // part of its identity in the Lease
  std::string api_server;      // "https://host:port"; empty = in-cluster
  std::string ca_file, certificate_file, key_file;  // with api_server
  std::string address;         // to listen on; empty = all
  uint16_t metrics_port = 8080;
  uint16_t health_port = 8081;
  int workers = 4;
};

// Parses the command line. kInvalid with the parser's sentence. `exit_text` not empty: --help or --version was
// asked for, print it and end.
Result<OperatorOptions> ParseOperatorOptions(const std::vector<std::string>& args, std::string* exit_text);

// Runs until SIGTERM or SIGINT. A Status only for what no retry can mend.
Status RunOperator(const OperatorOptions& options);

}  // namespace understudy
