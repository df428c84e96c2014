#include "node/persist/rdb_file.h"

#include <fcntl.h>
#include <spdlog/fmt/fmt.h>
#include <signal.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <memory>

namespace understudy::persist {
namespace {

// The kernel begins to write such pieces while the next ones are made; otherwise they would all be written at the end,
// and hold up everybody else who uses the disk.
constexpr uint64_t kHandOverBytes = 4 << 20;
constexpr size_t kReadBytes = 1 << 20;

Status Failed(std::string_view what, const std::string& path) {
  return Unavailable(fmt::format("{} '{}': {}", what, path, std::strerror(errno)));
}

std::string TemporaryPath(const std::string& dir) { return fmt::format("{}/temp-{}.rdb", dir, getpid()); }

// The process whose temporary file has this name; 0: it is no such name.
pid_t OwnerOf(std::string_view name) {
  constexpr std::string_view kBefore = "temp-", kBehind = ".rdb";
  if (!name.starts_with(kBefore) || !name.ends_with(kBehind)) return 0;
  name.remove_prefix(kBefore.size());
  pid_t owner = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), owner);
  return error == std::errc() && end + kBehind.size() == name.data() + name.size() ? owner : 0;
}

// Closes at the end.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int fd() const { return fd_; }

 private:
  const int fd_;
};

}  // namespace

RdbFile::RdbFile(std::string dir, std::string name)
    : dir_(std::move(dir)), path_(dir_ + "/" + name), temporary_(TemporaryPath(dir_)) {}

void RdbFile::RemoveLeftBehind(const std::string& dir) {
  std::error_code error;
  for (std::filesystem::directory_iterator at(dir, error), end; !error && at != end; at.increment(error)) {
    const pid_t owner = OwnerOf(at->path().filename().native());
    // Other servers lock nothing: theirs is left alone while its process is there.
    if (owner <= 0 || (owner != getpid() && (kill(owner, 0) == 0 || errno != ESRCH))) continue;
    const Descriptor file(open(at->path().c_str(), O_RDONLY | O_CLOEXEC));
    if (file.fd() >= 0 && flock(file.fd(), LOCK_EX | LOCK_NB) == 0) unlink(at->path().c_str());
  }
}

void RdbFile::RemoveTemporary(const std::string& dir) { unlink(TemporaryPath(dir).c_str()); }

RdbFile::~RdbFile() {
  if (fd_ < 0) return;
  close(fd_);
  unlink(temporary_.c_str());
}

Status RdbFile::Open() {
  RemoveLeftBehind(dir_);
  fd_ = open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (fd_ < 0) return Failed("can't make", temporary_);
  // Until this process ends, however it does; it need not work everywhere.
  flock(fd_, LOCK_EX | LOCK_NB);
  return {};
}

Status RdbFile::Write(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = write(fd_, bytes.data(), bytes.size());
    if (n < 0) {
      if (errno == EINTR) continue;
      return Failed("can't write", temporary_);
    }
    bytes.remove_prefix(static_cast<size_t>(n));
    written_ += static_cast<uint64_t>(n);
  }
  if (written_ - handed_ >= kHandOverBytes) {
    // Not for safety, so it may fail.
    sync_file_range(fd_, static_cast<off64_t>(handed_), static_cast<off64_t>(written_ - handed_), SYNC_FILE_RANGE_WRITE);
    handed_ = written_;
  }
  return {};
}

Status RdbFile::Commit() {
  if (fsync(fd_) != 0) return Failed("can't write", temporary_);
  if (rename(temporary_.c_str(), path_.c_str()) != 0) return Failed("can't replace", path_);
  close(fd_);
  fd_ = -1;
  const Descriptor dir(open(dir_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (dir.fd() < 0 || fsync(dir.fd()) != 0) return Failed("can't write the directory", dir_);
  return {};
}

Status LoadRdbFile(const std::string& path, Loader& loader, const LoadProgress& progress) {
  const Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.fd() < 0) {
    if (errno == ENOENT) return NotFound(fmt::format("there is no file '{}'", path));
    return Failed("can't read", path);
  }
  struct stat facts {};
  if (fstat(file.fd(), &facts) != 0) return Failed("can't read", path);
  const auto buffer = std::make_unique<char[]>(kReadBytes);
  uint64_t at = 0;
  while (!loader.done()) {
    const ssize_t n = read(file.fd(), buffer.get(), kReadBytes);
    if (n < 0) {
      if (errno == EINTR) continue;
      return Failed("can't read", path);
    }
    if (n == 0) return loader.Finish().Prefixed(path);
    at += static_cast<uint64_t>(n);
    Result<size_t> taken = loader.Feed({buffer.get(), static_cast<size_t>(n)});
    if (!taken.ok()) return taken.status().Prefixed(path);
    if (*taken < static_cast<size_t>(n) || (loader.done() && at < static_cast<uint64_t>(facts.st_size))) {
      return Invalid(fmt::format("{}: RDB ends at byte {}, but the file goes on", path, loader.bytes_read()));
    }
    if (!progress(at, static_cast<uint64_t>(facts.st_size))) return Unavailable("loading was given up");
  }
  return {};
}

}  // namespace understudy::persist
