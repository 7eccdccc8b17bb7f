#include "daemon/task.h"

void errands_add(
	struct errands *errands, struct errand *errand, struct ev_loop *loop, ev_async *wake)
{
	errand->loop = loop;
	errand->wake = wake;
	errand->next = atomic_load(&errands->newest);
	while (!atomic_compare_exchange_weak(&errands->newest, &errand->next, errand))
		;
	ev_async_send(loop, wake);
}

void errands_run(struct errands *errands, struct service *service)
{
	struct errand *next;
	for (struct errand *errand = atomic_exchange(&errands->newest, NULL); errand;
		errand = next) {
		next = errand->next;
		if (errand->run(errand, service))
			errand->done(errand);
		else
			errands_add(errands, errand, errand->loop, errand->wake);
	}
}

void errands_drop(struct errands *errands)
{
	struct errand *next;
	for (struct errand *errand = atomic_exchange(&errands->newest, NULL); errand;
		errand = next) {
		next = errand->next;
		errand->done(errand);
	}
}
