// What a captured function was seen to read outside of its arguments, and whether it is as it was.
#pragma once
#include <nanobind/nanobind.h>

#include <cstdint>
#include <vector>

namespace ostinato::python {

class ReadGuards {
 public:
  // Of (how, owner, key, what was there): "attribute" and "item" of the owner, an attribute that is
  // "absent", its "elements" (of a list or tuple; `what` is a tuple) or its "entries" (of a dict;
  // keys and values in turn) or "members" (of a set); "of a class" is what a class and those above
  // it have under a name; of a dictionary of globals "builtin" is a name that it has not and
  // builtins have, and "unnamed" one that neither has;
  // "of a module" is an attribute, and "names of a module" are the keys of a dictionary of them,
  // that change only together with a call of `note_module_change`.
  explicit ReadGuards(nanobind::handle reads);

  bool hold();
  int traverse(visitproc visit, void* arg) const;
  void clear();

 private:
  enum class How : uint8_t {
    attribute,
    absent,
    item,
    elements,
    entries,
    members,
    names,
    of_class,
    builtin,
    unnamed
  };
  struct Read {
    How how;
    nanobind::object owner, key, what;
    bool holds() const;
  };

  std::vector<Read> reads_;
  std::vector<Read> of_modules_;
  uint64_t version_ = 0;  // of all modules, for which `of_modules_` are known to hold
};

// An attribute of a module was set or deleted.
void note_module_change();

}  // namespace ostinato::python
