#include <cstring>
#include <optional>

#include "bindings/python.hpp"
#include "core/bounded_list.hpp"
#include "dispatch/op_docs.hpp"
#include "ops.hpp"
#include "trace/tracer.hpp"

namespace ostinato::python {
namespace {

// What a call has gathered so far.
struct Gathered {
  std::vector<Tensor> many;  // used where a list operand makes the count unknown
  BoundedList<Tensor, 8> few;
  int count = 0;
  BoundedList<Attr, 12> attrs;
  PyObject* generator = nullptr;
  int rng_at = -1;
  PyObject* extra = nullptr;  // the value of the op's `keyword`

  void add(Tensor t) {
    ++count;
    if (many.empty() && !few.is_full()) return few.push_back(std::move(t));
    if (many.empty()) many.assign(few.items().begin(), few.items().end());
    many.push_back(std::move(t));
  }
  std::span<Tensor> operands() { return many.empty() ? few.items() : std::span<Tensor>(many); }
};

bool takes_rest(const Param& p) {
  std::string_view kind = p.kind;
  return kind == "sizes" || kind == "ints";
}

PyObject* find_keyword(const char* name, PyObject* const* values, PyObject* kwnames, int* used) {
  if (!kwnames) return nullptr;
  Py_ssize_t n = PyTuple_GET_SIZE(kwnames);
  for (Py_ssize_t i = 0; i < n; ++i) {
    if (PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(kwnames, i), name) == 0) {
      ++*used;
      return values[i];
    }
  }
  return nullptr;
}

bool is_named(const Param& p, const char* name) {
  return !std::strcmp(name, p.name) || (p.other_name && !std::strcmp(name, p.other_name));
}

// An attribute as given: reductions over no axes are over all, and PyTorch's `unbiased` is a
// correction by one element or none.
Attr given_attr(const OpInfo& op, const Param& p, PyObject* value) {
  if (PyBool_Check(value) && p.other_name && !std::strcmp(p.other_name, "unbiased")) {
    return Attr(value == Py_True ? 1.0 : 0.0);
  }
  Attr attr = attr_from(value, op, p);
  if (op.reduces && p.optional && attr.is_sizes() && attr.as_sizes().empty()) return Attr();
  return attr;
}

Tensor fallback_operand(const Param& p) {
  return std::visit(
      [](const auto& v) {
        using V = std::decay_t<decltype(v)>;
        constexpr bool is_number =
            std::is_same_v<V, bool> || std::is_same_v<V, int64_t> || std::is_same_v<V, double>;
        if constexpr (is_number)
          return number(v);
        else
          return Tensor();
      },
      p.fallback.value());
}

void add_operand(Gathered& g, const OpInfo& op, const Param& p, PyObject* value) {
  std::string_view kind = p.kind;
  if (kind == "rng") {
    g.generator = value;
    g.rng_at = g.count;
    g.add(Tensor());
  } else if (kind == "tensors") {
    Owned list(PySequence_Fast(value, "give a list or tuple of tensors"));
    if (!list) throw PythonError{};
    Py_ssize_t n = PySequence_Fast_GET_SIZE(list.get());
    for (Py_ssize_t i = 0; i < n; ++i) {
      g.add(operand_from(PySequence_Fast_GET_ITEM(list.get(), i), op.name, p.name));
    }
  } else if (!value) {
    g.add(fallback_operand(p));
  } else {
    g.add(value == Py_None && p.optional ? Tensor() : operand_from(value, op.name, p.name));
  }
}

// A new tuple of the index at `*at` and those after it: `x.sum(0, 1)` is `x.sum((0, 1))`.
PyObject* indices_from(PyObject* const* args, Py_ssize_t nargs, Py_ssize_t* at) {
  const Py_ssize_t first = *at;
  while (*at < nargs && is_index(args[*at])) ++*at;
  PyObject* tuple = PyTuple_New(*at - first);
  for (Py_ssize_t i = first; i < *at; ++i) {
    PyTuple_SET_ITEM(tuple, i - first, Py_NewRef(args[i]));
  }
  return tuple;
}

// Says why not all keywords were used.
[[noreturn]] void refuse_keywords(const OpInfo& op, PyObject* kwnames) {
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(kwnames); ++i) {
    const char* name = PyUnicode_AsUTF8(PyTuple_GET_ITEM(kwnames, i));
    bool known = op.keyword == name;
    for (const Param& p : op.params) known |= is_named(p, name);
    if (!known) {
      throw Error(ErrorKind::type, std::string(op.name) + ": there is no argument '" + name + "'");
    }
  }
  throw Error(ErrorKind::type, std::string(op.name) + ": an argument was given twice");
}

// Gathers positional and keyword arguments in the order of the schema.
void gather(Gathered& g, const OpInfo& op, PyObject* const* args, Py_ssize_t nargs,
            PyObject* kwnames) {
  Py_ssize_t at = 0;
  int used = 0;
  for (const Param& p : op.params) {
    PyObject* value = nullptr;
    Owned indices;
    if (at < nargs) {
      const bool begins = takes_rest(p) && is_index(args[at]);
      if (begins && at + 1 < nargs && is_index(args[at + 1])) {
        value = indices_from(args, nargs, &at);
        indices.reset(value);
      } else {
        value = args[at++];
      }
    } else if (kwnames) {
      value = find_keyword(p.name, args + nargs, kwnames, &used);
      if (!value && p.other_name) {
        value = find_keyword(p.other_name, args + nargs, kwnames, &used);
      }
    }
    if (!value && p.required) {
      throw Error(ErrorKind::type, std::string(op.name) + ": argument '" + p.name + "' is missing");
    }
    if (p.is_operand)
      add_operand(g, op, p, value);
    else
      g.attrs.push_back(value ? given_attr(op, p, value) : p.fallback);
  }
  if (kwnames && !op.keyword.empty()) {
    g.extra = find_keyword(op.keyword.data(), args + nargs, kwnames, &used);
    if (g.extra == Py_None) g.extra = nullptr;
  }
  if (at < nargs) {
    throw Error(ErrorKind::type, std::string(op.name) + ": " + std::to_string(nargs) +
                                     " arguments came, at most " +
                                     std::to_string(op.params.size()) + " are taken");
  }
  if (kwnames && used < PyTuple_GET_SIZE(kwnames)) refuse_keywords(op, kwnames);
}

// How many elements a random op may draw: those of its result or of its operands.
int64_t drawn(const OpCall& call) {
  TensorMeta metas[kMaxResults];
  call.op->infer(call, metas);
  int64_t most = product(metas[0].sizes);
  for (const Tensor& t : call.operands) {
    if (t) most = std::max(most, t.numel());
  }
  return most;
}

Tensor cast(const Tensor& t, DType d) {
  const Attr attrs[] = {Attr(d)};
  return call_op(op_info(op::to), {&t, 1}, attrs);
}

// `y` times `alpha`. Two numbers give a number, which promotes as one; in a capture they may be
// those of another call, and an op multiplies them.
Tensor scaled(const Tensor& y, const Tensor& alpha) {
  if (y->wrapped && alpha->wrapped && !Tracer::active()) {
    if (is_float(y.dtype()) || is_float(alpha.dtype())) {
      return number(y.item_double() * alpha.item_double());
    }
    return number(y.item_int() * alpha.item_int());
  }
  const Tensor pair[] = {y, alpha};
  return call_op(op_info(op::mul), pair, {});
}

// The operands as the op's `keyword` has them; the dtype that it asks for, if so.
std::optional<DType> apply_keyword(const OpInfo& op, PyObject* value, std::span<Tensor> operands) {
  if (op.keyword == "alpha") {
    operands[1] = scaled(operands[1], operand_from(value, op.name, "alpha"));
    return std::nullopt;
  }
  DType wanted;
  if (!dtype_of(value, &wanted)) {
    throw Error(ErrorKind::type, std::string(op.name) + ": dtype is a " + Py_TYPE(value)->tp_name +
                                     "; give a dtype such as ostinato.float32");
  }
  if (operands[0].dtype() != wanted) operands[0] = cast(operands[0], wanted);
  return wanted;
}

PyObject* run(const OpInfo& op, bool inplace, Gathered& g) {
  std::span<Tensor> operands = g.operands();
  const std::span<const Attr> attrs = g.attrs.items();
  if (op.view && operands[0]->wrapped) {
    throw Error(ErrorKind::type, std::string(op.name) + ": " + op.params[0].name +
                                     " is a number, which has no memory to view; give a tensor");
  }
  if (g.rng_at >= 0) {
    operands[g.rng_at] = rng_state(0, 0);
    operands[g.rng_at] = draw(g.generator, drawn({&op, operands, attrs}));
  }
  note_call_site(operands);
  Tensor results[kMaxResults];
  std::optional<DType> wanted;
  if (g.extra) wanted = apply_keyword(op, g.extra, operands);
  {
    // A capture notes ops faster than other threads would take over.
    std::optional<ReleaseGil> unlocked;
    if (!Tracer::active()) unlocked.emplace();
    if (inplace) {
      call_op_inplace(op, operands, attrs);
      results[0] = operands[0];
    } else {
      call_op(op, operands, attrs, results);
      if (wanted && results[0].dtype() != *wanted) results[0] = cast(results[0], *wanted);
    }
  }
  if (inplace || op.results == 1) return wrap(results[0]);
  PyObject* tuple = PyTuple_New(op.results);
  for (int i = 0; tuple && i < op.results; ++i) PyTuple_SET_ITEM(tuple, i, wrap(results[i]));
  return tuple;
}

template <uint16_t Id>
PyObject* function(PyObject*, PyObject* const* args, Py_ssize_t nargs, PyObject* kwnames) {
  return call_from_python(op_info(Id), false, args, nargs, kwnames);
}

// Methods: the tensor goes first.
template <uint16_t Id, bool inplace>
PyObject* method(PyObject* self, PyObject* const* args, Py_ssize_t nargs, PyObject* kwnames) {
  constexpr Py_ssize_t kMost = 32;
  Py_ssize_t total = nargs + (kwnames ? PyTuple_GET_SIZE(kwnames) : 0);
  if (total >= kMost) {
    PyErr_Format(PyExc_TypeError, "%s: too many arguments", op_info(Id).name);
    return nullptr;
  }
  PyObject* all[kMost];
  all[0] = self;
  for (Py_ssize_t i = 0; i < total; ++i) all[i + 1] = args[i];
  return call_from_python(op_info(Id), inplace, all, nargs + 1, kwnames);
}

template <class F>
PyMethodDef definition(const char* name, F fn, const char* doc) {
  return {name, reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(fn)),
          METH_FASTCALL | METH_KEYWORDS, doc};
}

template <uint16_t Id>
void add_methods(std::vector<PyMethodDef>& out) {
  const OpInfo& op = op_info(Id);
  if (op.method) out.push_back(definition(op.name, method<Id, false>, doc_of(Id)));
  if (op.inplace) {
    // These live as long as the type.
    auto* name = new std::string(std::string(op.name) + "_");
    auto* doc = new std::string("In place: " + std::string(doc_of(Id)));
    out.push_back(definition(name->c_str(), method<Id, true>, doc->c_str()));
  }
}

template <uint16_t Id>
PyObject* binary(PyObject* a, PyObject* b) {
  PyObject* args[] = {a, b};
  for (PyObject* o : args) {
    bool number = PyFloat_Check(o) || PyLong_Check(o) || PyIndex_Check(o) || PyNumber_Check(o);
    if (!is_tensor(o) && !number) Py_RETURN_NOTIMPLEMENTED;
  }
  return call_from_python(op_info(Id), false, args, 2, nullptr);
}
template <uint16_t Id>
PyObject* power(PyObject* a, PyObject* b, PyObject*) {
  return binary<Id>(a, b);
}
template <uint16_t Id>
PyObject* unary(PyObject* a) {
  return call_from_python(op_info(Id), false, &a, 1, nullptr);
}
PyObject* positive(PyObject* a) { return Py_NewRef(a); }
template <uint16_t Id>
PyObject* binary_inplace(PyObject* a, PyObject* b) {
  PyObject* args[] = {a, b};
  return call_from_python(op_info(Id), true, args, 2, nullptr);
}
template <uint16_t Id>
PyObject* power_inplace(PyObject* a, PyObject* b, PyObject*) {
  return binary_inplace<Id>(a, b);
}

PyObject* compare(PyObject* a, PyObject* b, int how) {
  static constexpr uint16_t ids[] = {op::lt, op::le, op::eq, op::ne, op::gt, op::ge};
  if (!is_tensor(b) && !PyNumber_Check(b)) Py_RETURN_NOTIMPLEMENTED;
  PyObject* args[] = {a, b};
  return call_from_python(op_info(ids[how]), false, args, 2, nullptr);
}

}  // namespace

PyObject* call_from_python(const OpInfo& op, bool inplace, PyObject* const* args, Py_ssize_t nargs,
                           PyObject* kwnames) noexcept {
  try {
    Gathered g;
    gather(g, op, args, nargs, kwnames);
    return run(op, inplace, g);
  } catch (...) {
    set_error();
    return nullptr;
  }
}

const PyMethodDef* op_methods() {
  static std::vector<PyMethodDef> all = [] {
    std::vector<PyMethodDef> out;
#define X(NAME) add_methods<op::NAME>(out);
    OSTINATO_ALL_OPS(X)
#undef X
    out.push_back({nullptr, nullptr, 0, nullptr});
    return out;
  }();
  return all.data();
}

const PyMethodDef* op_functions() {
  static std::vector<PyMethodDef> all = [] {
    std::vector<PyMethodDef> out;
#define X(NAME) \
  out.push_back(definition(op_info(op::NAME).name, function<op::NAME>, doc_of(op::NAME)));
    OSTINATO_ALL_OPS(X)
#undef X
    out.push_back({nullptr, nullptr, 0, nullptr});
    return out;
  }();
  return all.data();
}

PyType_Slot* operator_slots() {
  static PyType_Slot slots[] = {
      {Py_nb_add, reinterpret_cast<void*>(binary<op::add>)},
      {Py_nb_subtract, reinterpret_cast<void*>(binary<op::sub>)},
      {Py_nb_multiply, reinterpret_cast<void*>(binary<op::mul>)},
      {Py_nb_true_divide, reinterpret_cast<void*>(binary<op::div>)},
      {Py_nb_floor_divide, reinterpret_cast<void*>(binary<op::floor_divide>)},
      {Py_nb_remainder, reinterpret_cast<void*>(binary<op::remainder>)},
      {Py_nb_matrix_multiply, reinterpret_cast<void*>(binary<op::matmul>)},
      {Py_nb_power, reinterpret_cast<void*>(power<op::pow>)},
      {Py_nb_and, reinterpret_cast<void*>(binary<op::bitwise_and>)},
      {Py_nb_or, reinterpret_cast<void*>(binary<op::bitwise_or>)},
      {Py_nb_xor, reinterpret_cast<void*>(binary<op::bitwise_xor>)},
      {Py_nb_positive, reinterpret_cast<void*>(positive)},
      {Py_nb_negative, reinterpret_cast<void*>(unary<op::neg>)},
      {Py_nb_absolute, reinterpret_cast<void*>(unary<op::abs>)},
      {Py_nb_invert, reinterpret_cast<void*>(unary<op::bitwise_not>)},
      {Py_nb_inplace_add, reinterpret_cast<void*>(binary_inplace<op::add>)},
      {Py_nb_inplace_subtract, reinterpret_cast<void*>(binary_inplace<op::sub>)},
      {Py_nb_inplace_multiply, reinterpret_cast<void*>(binary_inplace<op::mul>)},
      {Py_nb_inplace_true_divide, reinterpret_cast<void*>(binary_inplace<op::div>)},
      {Py_nb_inplace_floor_divide, reinterpret_cast<void*>(binary_inplace<op::floor_divide>)},
      {Py_nb_inplace_remainder, reinterpret_cast<void*>(binary_inplace<op::remainder>)},
      {Py_nb_inplace_power, reinterpret_cast<void*>(power_inplace<op::pow>)},
      {Py_nb_inplace_and, reinterpret_cast<void*>(binary_inplace<op::bitwise_and>)},
      {Py_nb_inplace_or, reinterpret_cast<void*>(binary_inplace<op::bitwise_or>)},
      {Py_nb_inplace_xor, reinterpret_cast<void*>(binary_inplace<op::bitwise_xor>)},
      {Py_tp_richcompare, reinterpret_cast<void*>(compare)},
      {0, nullptr}};
  return slots;
}

}  // namespace ostinato::python
