#include "node/command/table.h"

#include <algorithm>
#include <utility>

#include "common/check.h"

namespace understudy::command {
namespace {

// Letters without their case; other characters of command names are not changed by it.
uint32_t NameHash(std::string_view name) {
  uint64_t h = name.size() * 0x9e3779b97f4a7c15ULL;
  for (const char c : name) h = (h ^ (static_cast<unsigned char>(c) | 0x20)) * 0x100000001b3ULL;
  return static_cast<uint32_t>(h >> 20 ^ h);
}

bool SameName(std::string_view lower, std::string_view any) {
  if (lower.size() != any.size()) return false;
  for (size_t i = 0; i < lower.size(); ++i) {
    const char c = any[i];
    if (lower[i] != (c >= 'A' && c <= 'Z' ? c | 0x20 : c)) return false;
  }
  return true;
}

bool OnCollections(std::string_view group) {
  return group == "hash" || group == "list" || group == "set" || group == "sorted-set" || group == "geo" ||
         group == "stream";
}

// Rows are shared by all tables of a process, whose numbering is the same: a later one only reads.
template <typename T>
void Give(T& field, T value) {
  if (field != value) field = value;
}

}  // namespace

Table::Table(std::span<const std::span<const Row>> families) {
  for (const auto& family : families) {
    for (const Row& row : family) {
      CHECK(Find(row.name) == nullptr);
      rows_.push_back(&row);
      Give(row.index, static_cast<uint32_t>(indexed_.size()));
      // MOVE names a second database, which its user may be kept from: only the whole check looks at that.
      Give(row.ordinary, !(row.flags & kNotOrdinary) && row.name != "move" && row.subcommands.empty() &&
                             row.keys.first > 0 && row.keys.find == nullptr && row.keys.beyond == nullptr);
      Give(row.reads_collection, row.keys.first > 0 && OnCollections(row.group));
      indexed_.push_back(&row);
      parents_.push_back(nullptr);
      for (const Row& sub : row.subcommands) {
        Give(sub.index, static_cast<uint32_t>(indexed_.size()));
        indexed_.push_back(&sub);
        parents_.push_back(&row);
      }
      // Find() above needs the rows so far: the few hundred insertions may each rebuild a small table.
      if (slots_.size() < rows_.size() * 4) slots_.resize(slots_.empty() ? 256 : slots_.size() * 2);
      FillSlots();
    }
  }
}

void Table::FillSlots() {
  std::fill(slots_.begin(), slots_.end(), Slot{});
  for (const Row* row : rows_) {
    const auto renamed = renamed_.find(row);
    const std::string_view name = renamed == renamed_.end() ? row->name : std::string_view(renamed->second);
    if (name.empty()) continue;
    size_t at = NameHash(name) & (slots_.size() - 1);
    while (slots_[at].row != nullptr) at = (at + 1) & (slots_.size() - 1);
    slots_[at] = {row, name};
  }
}

Status Table::Rename(std::string_view name, std::string_view now) {
  const Row* const row = Find(name);
  if (row == nullptr) return Invalid("No such command in rename-command");
  if (!now.empty() && Find(now) != nullptr) return Invalid("Target command name already exists");
  renamed_[row] = acl::Lower(now);
  FillSlots();
  return {};
}

const Row* Table::Find(std::string_view name) const {
  if (slots_.empty()) return nullptr;
  for (size_t at = NameHash(name) & (slots_.size() - 1);; at = (at + 1) & (slots_.size() - 1)) {
    if (slots_[at].row == nullptr) return nullptr;
    if (SameName(slots_[at].name, name)) return slots_[at].row;
  }
}

std::string Table::FullName(uint32_t index) const {
  const std::string name(indexed_[index]->name);
  return parents_[index] ? std::string(parents_[index]->name) + "|" + name : name;
}

acl::Categories CategoriesOf(const Row& row) {
  using acl::Bit;
  using acl::Category;
  acl::Categories out = 0;
  for (std::string_view more = row.categories; !more.empty();) {
    const size_t end = std::min(more.find(' '), more.size());
    const acl::Categories named = acl::CategoryByName(more.substr(1, end - 1));
    CHECK(more[0] == '@' && named != 0);
    out |= named;
    more.remove_prefix(std::min(end + 1, more.size()));
  }
  if (row.flags & kWrite) out |= Bit(Category::kWrite);
  if ((row.flags & kReadonly) && !(out & Bit(Category::kScripting))) out |= Bit(Category::kRead);
  if (row.flags & kAdmin) out |= Bit(Category::kAdmin) | Bit(Category::kDangerous);
  if (row.flags & kPubsub) out |= Bit(Category::kPubsub);
  if (row.flags & kBlocking) out |= Bit(Category::kBlocking);
  return out | Bit(row.flags & kFast ? Category::kFast : Category::kSlow);
}

acl::CommandList ListCommands(const Table& table) {
  std::vector<acl::Command> commands;
  int parent = -1;
  for (uint32_t i = 0; i < table.size(); ++i) {
    const Row& row = table.At(i);
    acl::Command& command = commands.emplace_back();
    command.name = table.FullName(i);
    command.categories = CategoriesOf(row);
    command.always = (row.flags & kNoAuth) != 0;
    command.subcommands = static_cast<int>(row.subcommands.size());
    if (command.name.find('|') == std::string::npos) {
      parent = static_cast<int>(i);
    } else {
      command.parent = parent;
    }
  }
  return acl::CommandList(std::move(commands));
}

const Row* FindSubcommand(const Row& row, Args args) {
  if (args.size() < 2) return nullptr;
  for (const Row& sub : row.subcommands) {
    if (SameName(sub.name, args[1])) return &sub;
  }
  return nullptr;
}

bool FindKeys(const Row& row, Args args, std::vector<uint32_t>* indexes) {
  if (row.keys.find != nullptr) return row.keys.find(args, indexes);
  if (row.keys.first == 0) return true;
  const int count = static_cast<int>(args.size());
  const int last = row.keys.last < 0 ? count + row.keys.last : row.keys.last;
  if (row.keys.first >= count || last >= count) return false;
  for (int i = row.keys.first; i <= last; i += row.keys.step) indexes->push_back(static_cast<uint32_t>(i));
  return true;
}

}  // namespace understudy::command
