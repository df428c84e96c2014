// How a program of ours ends: read from the Pod's status by whoever started it.
#pragma once

namespace understudy {

// It was started with something that it can't be started with (EX_CONFIG of sysexits.h): the last line that it wrote
// says what, and starting it again helps nobody.
inline constexpr int kBadConfigurationExit = 78;
// What that line of the node begins with.
inline constexpr const char* kNodePrefix = "understudy-node: ";

}  // namespace understudy
