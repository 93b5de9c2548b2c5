/* Looking at the tensors of a step, and counting it: see look.py. */
#include <stdint.h>
#include <string.h>

typedef char *Object;

typedef struct {
    int64_t object;                     /* where a tensor object names its implementation */
    int64_t type;                       /* where any object names its type */
    int64_t storage;                    /* where an implementation names its storage */
    int64_t shape;                      /* where it has its shape */
    int64_t data;                       /* where a storage has its address, and then who frees it */
    void *no_tensor;                    /* the implementation of an undefined tensor */
    Object dict;                        /* Python's type */
    intptr_t (*list_size)(Object);      /* Python: PyList_Size, ... */
    Object (*list_item)(Object, intptr_t);
    intptr_t (*dict_size)(Object);
    int (*dict_next)(Object, intptr_t *, Object *, Object *);
    int (*dict_set)(Object, Object, Object);
    void (*bump)(void *);               /* torch */
    const char **(*grad)(const char *); /* where autograd names a gradient's implementation */
} Calls;

enum { INSIDE = 5, LINE = 64 };         /* axes whose sizes lie in an implementation; bytes */
enum { AHEAD = 8, FURTHER = 16 };       /* tensors to look ahead */
enum { BLOCK = 512 };                   /* tensors that a thread takes at once */

/* As it stands in an implementation. */
typedef struct {
    int64_t axes, sizes[INSIDE], strides[INSIDE], offset, numel;
    uint32_t kind, flags;               /* dtype and device; what autograd keeps for itself */
    int64_t keys;                       /* layout, backend, conjugation: all that torch dispatches by */
} Shape;

typedef struct {
    Object type;
    int64_t width;                      /* of a number, in bytes */
    Shape shape;
} Form;

typedef struct {
    Object object;                      /* here, and in the next two: where to look soon */
    const char *implementation, *storage;
    int64_t at, owner;
} Place;

typedef struct {
    Place place;
    int64_t form;
    const char *autograd, *counter;     /* where to look soon */
    int64_t grad;                       /* its place among all gradients; -1: there is none */
    int64_t grad_form;
    int64_t grad_mask;                  /* bits that its address must not have */
} Param;

/* What a state holds under a key: a tensor of a form, at the next of its places; or the very object
   in a slot (form -1). */
typedef struct {
    Object key;
    int64_t form, slot;
} Item;

typedef struct {
    Object param;
    int64_t next;                       /* what brings PyDict_Next to it */
    int64_t item, count;                /* its items, which others may have too (count -1: any) */
    int64_t place, cohort;
    const char *dict, *table;           /* where to look soon */
} Entry;

typedef struct {
    Object key;
    int64_t slot;
} Number;

typedef struct {
    int64_t groups, count, states;
    const int64_t *lengths;             /* of each group's list */
    const Object *objects;              /* that they hold */
    const Param *params;
    const char **grads;                 /* written: implementations */
    int64_t *grad_at;                   /* written: addresses */
    const Entry *entries;
    const Item *items;
    const Place *places;                /* of tensors in states */
    const Object *slots;
    const int64_t *first_number;        /* by cohort */
    const Number *numbers;              /* that its states hold */
    const Form *forms;
} Seen;

static const char *pointer(const char *at, int64_t offset)
{
    return *(const char *const *)(at + offset);
}

static const Shape *shape_of(const Calls *call, const char *implementation)
{
    return (const Shape *)(implementation + call->shape);
}

/* The form of a tensor, but for the width of its numbers; how many axes it has. */
int64_t stepc_form(const Calls *call, Object tensor, Form *form)
{
    form->type = (Object)pointer(tensor, call->type);
    Shape *shape = &form->shape;
    *shape = *shape_of(call, pointer(tensor, call->object));
    shape->flags = shape->offset = 0;
    for (int64_t axis = shape->axes; axis < INSIDE; axis++)
        shape->sizes[axis] = shape->strides[axis] = 0;
    return shape->axes;
}

/* What brings PyDict_Next to every state. */
void stepc_walk(const Calls *call, Object states, int64_t *nexts)
{
    intptr_t next = 0;
    Object param, state;
    do *nexts++ = next; while (call->dict_next(states, &next, &param, &state));
}

static int is_shaped(const Calls *call, const char *implementation, const Form *form)
{
    const Shape *now = shape_of(call, implementation), *was = &form->shape;
    int64_t other = (now->kind ^ was->kind) | (now->keys ^ was->keys);
    if (other | (now->axes ^ was->axes)) return 0;
    for (int64_t axis = 0; axis < was->axes; axis++)
        other |= (now->sizes[axis] ^ was->sizes[axis]) | (now->strides[axis] ^ was->strides[axis]);
    return !other;
}

/* Where a tensor's first number lies. */
static int64_t address(const Calls *call, const char *implementation, const Form *form)
{
    const char *data = pointer(pointer(implementation, call->storage), call->data);
    return (int64_t)data + form->width * shape_of(call, implementation)->offset;
}

/* Whether a tensor object of its form lies where it did, in memory that is freed as it was: a copy
   on write changes that. */
static int is_there(const Calls *call, Object tensor, const Form *form, const Place *place)
{
    if (pointer(tensor, call->type) != form->type) return 0;
    const char *implementation = pointer(tensor, call->object);
    return is_shaped(call, implementation, form)
        && address(call, implementation, form) == place->at
        && (int64_t)pointer(pointer(implementation, call->storage), call->data + 8) == place->owner;
}

/* Ask for what will be read soon; only a hint, so the addresses may be outdated. */
static void expect(const char *begin, int64_t bytes)
{
    for (int64_t at = 0; at < bytes; at += LINE) __builtin_prefetch(begin + at);
    __builtin_prefetch(begin + bytes - 1);
}

static void expect_head(const Calls *call, const char *implementation)
{
    expect(implementation + call->storage, call->shape + sizeof(Shape) - call->storage);
}

static void expect_data(const Calls *call, const char *storage)
{
    __builtin_prefetch(storage + call->data);
}

static void expect_place(const Calls *call, const Place *place)
{
    __builtin_prefetch(place->object + call->object);
    expect_head(call, place->implementation);
    expect_data(call, place->storage);
}

static void expect_state(const Entry *entry)
{
    __builtin_prefetch(entry->dict);
    expect(entry->table, 2 * LINE);
}

static int same_lists(const Calls *call, const Seen *seen, Object groups)
{
    const Object *object = seen->objects;
    for (int64_t group = 0; group < seen->groups; group++) {
        Object list = call->list_item(groups, group);
        if (call->list_size(list) != seen->lengths[group]) return 0;
        for (int64_t i = 0; i < seen->lengths[group]; i++)
            if (call->list_item(list, i) != *object++) return 0;
    }
    return 1;
}

/* Notes where a gradient lies. */
static int same_grad(const Calls *call, const Seen *seen, const Param *param, const char *grad)
{
    if (param->grad < 0) return grad == call->no_tensor;
    const Form *form = seen->forms + param->grad_form;
    if (grad == call->no_tensor || !is_shaped(call, grad, form)) return 0;
    const int64_t at = seen->grad_at[param->grad] = address(call, grad, form);
    return !(at & param->grad_mask);
}

/* Some parameters, and their gradients: those lie anywhere in memory, so they are looked at some
   tensors later. Autograd is told here that parameters change, while they are in the cache: once
   too often if the step is decided anew then, which makes no difference. */
static int same_params(const Calls *call, const Seen *seen, int64_t begin, int64_t end)
{
    for (int64_t k = begin; k < end + FURTHER; k++) {
        const int64_t next = k - FURTHER + AHEAD, now = k - FURTHER;
        if (k < end) {
            const Param *param = seen->params + k, *soon = param + FURTHER;
            const Object tensor = param->place.object;
            expect_place(call, &soon->place);
            __builtin_prefetch(soon->autograd);
            __builtin_prefetch(soon->counter);
            if (!is_there(call, tensor, seen->forms + param->form, &param->place)) return 0;
            seen->grads[k] = *call->grad(pointer(tensor, call->object));
            expect_head(call, seen->grads[k]);
        }
        if (next >= begin && next < end)
            expect_data(call, pointer(seen->grads[next], call->storage));
        if (now < begin) continue;
        const Param *param = seen->params + now;
        if (!same_grad(call, seen, param, seen->grads[now])) return 0;
        if (param->grad >= 0) call->bump(param->place.object + call->object);
    }
    return 1;
}

static int same_state(const Calls *call, const Seen *seen, const Entry *entry, Object state)
{
    if (entry->count < 0) return 1;
    if (pointer(state, call->type) != call->dict) return 0;
    if (call->dict_size(state) != entry->count) return 0;
    const Item *item = seen->items + entry->item;
    const Place *place = seen->places + entry->place;
    intptr_t next = 0;
    for (Object key, value; call->dict_next(state, &next, &key, &value); item++) {
        if (key != item->key) return 0;
        if (item->form < 0) {
            if (value != seen->slots[item->slot]) return 0;
            continue;
        }
        expect_place(call, place + FURTHER);
        if (!is_there(call, value, seen->forms + item->form, place++)) return 0;
    }
    return 1;
}

static int same_states(const Calls *call, const Seen *seen, Object states, int64_t begin,
                       int64_t end)
{
    for (const Entry *entry = seen->entries + begin; entry < seen->entries + end; entry++) {
        expect_state(entry + AHEAD);
        intptr_t next = entry->next;
        Object param, state;
        if (!call->dict_next(states, &next, &param, &state) || param != entry->param) return 0;
        if (!same_state(call, seen, entry, state)) return 0;
    }
    return 1;
}

/* Whether parameters, gradients and states are as they were, but for where gradients lie. Nothing
   is written that Python sees, nor any reference counted (autograd counts with atomic numbers), so
   threads may share the work. */
int64_t stepc_look(const Calls *call, const Seen *seen, Object states, Object groups,
                   int64_t threads)
{
    if (!same_lists(call, seen, groups) || call->dict_size(states) != seen->states) return 0;
    const int64_t blocks = (seen->count + BLOCK - 1) / BLOCK;
    const int64_t all = blocks + (seen->states + BLOCK - 1) / BLOCK;
    int same = 1;
    #pragma omp parallel for num_threads(threads) schedule(dynamic) reduction(&: same) \
        if (threads > 1)
    for (int64_t block = 0; block < all; block++) {
        const int is_state = block >= blocks;
        const int64_t begin = (is_state ? block - blocks : block) * BLOCK;
        const int64_t count = is_state ? seen->states : seen->count;
        const int64_t end = begin + BLOCK < count ? begin + BLOCK : count;
        same &= is_state ? same_states(call, seen, states, begin, end)
                         : same_params(call, seen, begin, end);
    }
    return same;
}

/* Let every state hold what the slots of its cohort do. Python's error if it returns 0. */
int64_t stepc_count(const Calls *call, const Seen *seen, Object states)
{
    const Entry *entry = seen->entries, *end = entry + seen->states;
    intptr_t next = 0;
    for (Object param, state; entry < end && call->dict_next(states, &next, &param, &state);
         entry++) {
        expect_state(entry + AHEAD);
        if (entry->count < 0) continue;
        const int64_t *first = seen->first_number + entry->cohort;
        for (const Number *it = seen->numbers + first[0]; it < seen->numbers + first[1]; it++)
            if (call->dict_set(state, it->key, seen->slots[it->slot])) return 0;
    }
    return 1;
}
