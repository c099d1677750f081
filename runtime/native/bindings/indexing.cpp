// x[...] by integers, slices, None, Ellipsis and one integer tensor, as ops of the table.
#include "bindings/python.hpp"
#include "dispatch/shape_rules.hpp"
#include "ops.hpp"
#include "trace/tracer.hpp"

namespace ostinato::python {
namespace {

struct Slicing {
  int64_t start, stop, step;
};

Tensor apply(uint16_t id, const Tensor& t, std::initializer_list<Attr> attrs) {
  return call_op(op_info(id), {&t, 1}, {attrs.begin(), attrs.size()});
}

Slicing slicing_of(PyObject* item, int64_t size) {
  Py_ssize_t start, stop, step;
  if (PySlice_Unpack(item, &start, &stop, &step) < 0) throw PythonError{};
  if (step < 1) {
    throw Error(ErrorKind::value, "indexing: slice step " + std::to_string(step) +
                                      " is not positive; give a step from 1, then flip");
  }
  PySlice_AdjustIndices(size, &start, &stop, step);
  return {start, std::max(start, stop), step};
}

[[noreturn]] void too_many(const Tensor& t, Py_ssize_t n) {
  throw Error(ErrorKind::index, "indexing: " + std::to_string(n) + " indices came for shape " +
                                    show(t.sizes()) + "; give at most " + std::to_string(t.ndim()));
}

class Indexer {
 public:
  explicit Indexer(const Tensor& t) : value_(t) {}

  Tensor run(std::span<PyObject* const> items) {
    int consumed = 0, tensors = 0;
    for (PyObject* o : items) {
      consumed += o != Py_None && o != Py_Ellipsis;
      tensors += is_tensor(o);
    }
    if (tensors > 1) {
      throw Error(ErrorKind::type, "indexing: " + std::to_string(tensors) +
                                       " index tensors came; give one, or use gather");
    }
    if (consumed > value_.ndim()) too_many(value_, consumed);
    for (PyObject* o : items) step(o, consumed);
    return value_;
  }

 private:
  void step(PyObject* o, int consumed) {
    if (o == Py_None) {
      value_ = apply(op::unsqueeze, value_, {Attr(int64_t{axis_})});
      ++axis_;
    } else if (o == Py_Ellipsis) {
      axis_ = value_.ndim() - (consumed - taken_);
    } else if (PySlice_Check(o)) {
      slice(o);
      ++taken_;
    } else if (is_tensor(o)) {
      pick(tensor_of(o));
      ++taken_;
    } else if (is_index(o)) {
      select(int_from(o));
      ++taken_;
    } else {
      throw Error(ErrorKind::type, std::string("indexing: a ") + Py_TYPE(o)->tp_name +
                                       " is no index; give integers, slices, None, ... or an "
                                       "integer tensor");
    }
  }

  void slice(PyObject* o) {
    int64_t size = value_.size(axis_);
    Slicing s = slicing_of(o, size);
    if (s.start != 0 || s.stop != size || s.step != 1) {
      value_ = apply(op::slice, value_,
                     {Attr(int64_t{axis_}), Attr(s.start), Attr(s.stop), Attr(s.step)});
    }
    ++axis_;
  }

  void select(int64_t i) {
    int64_t size = value_.size(axis_);
    if (i < -size || i >= size) {
      throw Error(ErrorKind::index, "indexing: index " + std::to_string(i) +
                                        " is out of range for " + "size " + std::to_string(size) +
                                        " of axis " + std::to_string(axis_) + "; give one from " +
                                        std::to_string(-size) + " to " + std::to_string(size - 1));
    }
    value_ = apply(op::select, value_, {Attr(int64_t{axis_}), Attr(i < 0 ? i + size : i)});
  }

  void pick(const Tensor& index) {
    if (category(index.dtype()) != 1) {
      throw Error(ErrorKind::dtype,
                  "indexing: an index tensor has dtype " + std::string(name_of(index.dtype())) +
                      "; give an integer tensor (masks: use where or masked_fill)");
    }
    Tensor pair[] = {value_, index};
    Attr attrs[] = {Attr(int64_t{axis_})};
    value_ = call_op(op_info(op::index_select), pair, attrs);
    axis_ += index.ndim();
  }

  Tensor value_;
  int axis_ = 0;
  int taken_ = 0;
};

std::span<PyObject* const> items_of(PyObject** key) {
  if (PyTuple_Check(*key)) {
    return {reinterpret_cast<PyTupleObject*>(*key)->ob_item,
            static_cast<size_t>(PyTuple_GET_SIZE(*key))};
  }
  return {key, 1};
}

bool is_same_view(const Tensor& a, const Tensor& b) {
  return a->storage && a->storage.get() == b->storage.get() && a->offset == b->offset &&
         a.dtype() == b.dtype() && a.sizes() == b.sizes() && a.strides() == b.strides();
}

}  // namespace

PyObject* get_item(PyObject* self, PyObject* key) noexcept {
  try {
    const Tensor& t = tensor_of(self);
    note_call_site({&t, 1});
    Tensor result = Indexer(t).run(items_of(&key));
    if (result.same(t)) result = apply(op::expand, t, {Attr(t.sizes())});
    return wrap(result);
  } catch (...) {
    set_error();
    return nullptr;
  }
}

int set_item(PyObject* self, PyObject* key, PyObject* value) noexcept {
  try {
    if (!value) throw Error(ErrorKind::type, "indexing: elements of a tensor cannot be deleted");
    const Tensor& t = tensor_of(self);
    Tensor source = operand_from(value, "indexing", "the value");
    Tensor both[] = {t, source};
    note_call_site(both);
    Tensor target = Indexer(t).run(items_of(&key));
    if (target->storage.get() != t->storage.get()) {
      throw Error(ErrorKind::type,
                  "indexing: assignment through an index tensor is not supported; "
                  "use scatter_add or where");
    }
    if (is_same_view(target, source)) return 0;  // what x[i] += y ends with
    Tensor pair[] = {target, source};
    note_call_site(pair);
    call_op_inplace(op_info(op::copy), pair, {});
    return 0;
  } catch (...) {
    set_error();
    return -1;
  }
}

}  // namespace ostinato::python
