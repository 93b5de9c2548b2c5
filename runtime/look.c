/* Looking at the tensors of a step, and counting it: see look.py. */
#include <stdint.h>
#include <string.h>

typedef char *Object;

typedef struct {
    int64_t offset;                     /* of the at::Tensor in a tensor object */
    int64_t type_offset;                /* of the type in any object */
    void *no_tensor;                    /* what an undefined at::Tensor holds */
    intptr_t (*list_size)(Object);      /* Python: PyList_Size, ... */
    Object (*list_item)(Object, intptr_t);
    intptr_t (*dict_size)(Object);
    int (*dict_next)(Object, intptr_t *, Object *, Object *);
    int (*dict_set)(Object, Object, Object);
    void (*forgive)(void);
    int32_t (*layout)(void *, int32_t *);    /* torch: aoti_torch_get_... */
    int32_t (*dtype)(void *, int32_t *);
    int32_t (*device_type)(void *, int32_t *);
    int32_t (*device_index)(void *, int32_t *);
    int32_t (*dim)(void *, int64_t *);
    int32_t (*sizes)(void *, int64_t **);
    int32_t (*strides)(void *, int64_t **);
    int32_t (*data_ptr)(void *, void **);
    void (*bump)(void *);
    void *(*grad)(void *);              /* of an implementation: its gradient's at::Tensor */
} Calls;

enum { HINTS = 6, AHEAD = 12 };  /* addresses per tensor; tensors to look ahead */

typedef struct {
    Object key;
    int64_t form;                       /* -1: the very object in a slot */
    int64_t at;                         /* address, or slot */
    int64_t hints[HINTS];
} Item;

typedef struct {
    int64_t param, first, count, cohort;    /* first and number of items (-1: any) */
    int64_t hints[HINTS];
} Entry;

typedef struct {
    Object key;
    int64_t slot;
} Number;

typedef struct {
    int64_t groups, count, states;
    const int64_t *lengths;             /* of each group's list */
    const Object *params;
    const int64_t *param_form, *param_at;
    const int64_t (*param_hints)[HINTS];
    const int64_t *grad_form;           /* -1: has no gradient */
    const int64_t *grad_mask;           /* bits that a gradient's address must not have */
    int64_t *grad_at;                   /* written */
    void **grads;                       /* written */
    const Entry *entries;
    const Item *items;
    const Object *slots;
    const int64_t *first_number;        /* by cohort */
    const Number *numbers;              /* that its states hold */
    const int64_t *forms;
} Seen;

static Object type_of(const Calls *call, Object object)
{
    return *(Object *)(object + call->type_offset);
}

static char *implementation(const void *at)
{
    return *(char *const *)at;
}

/* The form of a tensor: layout, device, dtype, axes, sizes, strides; -1 if it has none. */
int64_t stepc_form(const Calls *call, Object tensor, int64_t *form)
{
    void *at = tensor + call->offset;
    int32_t layout, dtype, device, index;
    int64_t axes, *sizes, *strides;
    if (call->layout(at, &layout) || layout != 0 || call->dtype(at, &dtype)) return -1;
    if (call->device_type(at, &device) || call->device_index(at, &index)) return -1;
    if (call->dim(at, &axes) || call->sizes(at, &sizes) || call->strides(at, &strides)) return -1;
    const int64_t head[6] = {(int64_t)type_of(call, tensor), layout, device, index, dtype, axes};
    memcpy(form, head, sizeof head);
    memcpy(form + 6, sizes, 8 * axes);
    memcpy(form + 6 + axes, strides, 8 * axes);
    return 6 + 2 * axes;
}

static int is_shaped(const Calls *call, void *at, const int64_t *form)
{
    int32_t dtype; int64_t axes, *sizes;
    return !call->dtype(at, &dtype) && dtype == form[4] && !call->dim(at, &axes) && axes == form[5]
        && !call->sizes(at, &sizes) && !memcmp(sizes, form + 6, 8 * axes)
        && !call->strides(at, &sizes) && !memcmp(sizes, form + 6 + axes, 8 * axes);
}

/* Whether a tensor object lies where one of its form did, which settles device and layout. */
static int is_there(const Calls *call, Object tensor, const int64_t *form, int64_t where)
{
    void *at = tensor + call->offset, *data;
    return (int64_t)type_of(call, tensor) == form[0] && !call->data_ptr(at, &data)
        && (int64_t)data == where && is_shaped(call, at, form);
}

/* Where a tensor of a form lies; -1 if it has another. */
int64_t stepc_where(const Calls *call, void *at, const int64_t *form)
{
    int32_t layout, device, index; void *data;
    if (call->layout(at, &layout) || layout != form[1]) return -1;
    if (call->device_type(at, &device) || device != form[2]) return -1;
    if (call->device_index(at, &index) || index != form[3]) return -1;
    if (!is_shaped(call, at, form)) return -1;
    return call->data_ptr(at, &data) ? -1 : (int64_t)data;
}

/* Ask for what the loops below will read soon; only a hint, so the addresses may be outdated. */
static void expect(const int64_t *hints, int64_t count)
{
    for (int64_t k = 0; k < count; k++) __builtin_prefetch((void *)hints[k]);
}

/* Finds the gradients as well; looks at them later, for new ones lie anywhere in memory. */
static int same_params(const Calls *call, const Seen *seen, Object groups)
{
    int64_t k = 0;
    for (int64_t group = 0; group < seen->groups; group++) {
        Object list = call->list_item(groups, group);
        if (!list || call->list_size(list) != seen->lengths[group]) return 0;
        for (int64_t i = 0; i < seen->lengths[group]; i++, k++) {
            Object param = seen->params[k];
            expect(seen->param_hints[k + AHEAD], HINTS);
            if (call->list_item(list, i) != param) return 0;
            const int64_t *form = seen->forms + seen->param_form[k];
            if (!is_there(call, param, form, seen->param_at[k])) return 0;
            seen->grads[k] = call->grad(implementation(param + call->offset));
            if ((implementation(seen->grads[k]) == call->no_tensor) != (seen->grad_form[k] < 0))
                return 0;
        }
    }
    return 1;
}

static int same_grads(const Calls *call, const Seen *seen)
{
    for (int64_t k = 0; k < seen->count; k++) {
        if (k + AHEAD < seen->count)
            for (int line = 0; line < 3; line++)
                __builtin_prefetch(implementation(seen->grads[k + AHEAD]) + 64 * line);
        if (seen->grad_form[k] < 0) continue;
        const int64_t at = stepc_where(call, seen->grads[k], seen->forms + seen->grad_form[k]);
        if (at == -1 || at & seen->grad_mask[k]) return 0;
        seen->grad_at[k] = at;
    }
    return 1;
}

static int same_state(const Calls *call, const Seen *seen, const Entry *entry, Object state)
{
    if (entry->count < 0) return 1;
    if (call->dict_size(state) != entry->count) return 0;
    const Item *item = seen->items + entry->first;
    intptr_t place = 0;
    for (Object key, value; call->dict_next(state, &place, &key, &value); item++) {
        expect(item[AHEAD].hints, HINTS);
        if (key != item->key) return 0;
        if (item->form < 0) {
            if (value != seen->slots[item->at]) return 0;
        } else if (!is_there(call, value, seen->forms + item->form, item->at)) return 0;
    }
    return 1;
}

/* Whether parameters, gradients and states are as they were, but for where gradients lie. */
int64_t stepc_look(const Calls *call, const Seen *seen, Object states, Object groups)
{
    int same = same_params(call, seen, groups) && same_grads(call, seen)
        && call->dict_size(states) == seen->states;
    const Entry *entry = seen->entries;
    intptr_t place = 0;
    for (Object param, state; same && call->dict_next(states, &place, &param, &state); entry++) {
        expect(entry[AHEAD].hints, HINTS);
        same = (int64_t)param == entry->param && same_state(call, seen, entry, state);
    }
    if (!same) call->forgive();
    return same;
}

/* Let every state hold what the slots of its cohort do, and autograd know that the parameters have
   changed. Python's error if it returns 0. */
int64_t stepc_count(const Calls *call, const Seen *seen, Object states)
{
    const Entry *entry = seen->entries, *end = entry + seen->states;
    intptr_t place = 0;
    for (Object param, state; entry < end && call->dict_next(states, &place, &param, &state);
         entry++) {
        expect(entry[AHEAD].hints, HINTS);
        if (entry->count < 0) continue;
        const int64_t *first = seen->first_number + entry->cohort;
        for (const Number *it = seen->numbers + first[0]; it < seen->numbers + first[1]; it++)
            if (call->dict_set(state, it->key, seen->slots[it->slot])) return 0;
        call->bump(param + call->offset);
    }
    return 1;
}
