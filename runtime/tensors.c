/* One tensor: what it is like, where it lies, and whether others hold it. See look.py. */
#include <stdint.h>
#include <string.h>

typedef char *Object;

typedef struct {
    int64_t object;                     /* where a tensor object names its implementation */
    int64_t type;                       /* where any object names its type */
    int64_t storage;                    /* where an implementation names its storage */
    int64_t shape;                      /* where it has its shape */
    int64_t data;                       /* where a storage has its address, and then who frees it */
    int64_t users, storage_users;       /* where both count who holds them */
    int64_t weak, storage_weak;         /* where their objects name weak references */
    int64_t wrapper;                    /* where a storage names its object */
    int64_t alone[4];                   /* such counts where nobody else holds a state's tensor: of
                                           an object, implementation, storage, storage's object */
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

static int64_t number(const char *at, int64_t offset)
{
    return *(const int64_t *)(at + offset);
}

/* Whether only a dict that nobody else holds has a tensor, and it alone has its memory. */
static int is_alone(const Calls *call, Object tensor)
{
    const char *implementation = pointer(tensor, call->object);
    const char *storage = pointer(implementation, call->storage);
    if (number(tensor, 0) != call->alone[0] || pointer(tensor, call->weak)) return 0;
    if (number(implementation, call->users) != call->alone[1]) return 0;
    if (number(storage, call->storage_users) != call->alone[2]) return 0;
    const char *wrapper = pointer(storage, call->wrapper);
    return number(wrapper, 0) == call->alone[3] && !pointer(wrapper, call->storage_weak);
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
