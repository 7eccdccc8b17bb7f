#include "daemon/worker/task.h"

void task_queue_add(struct task_queue *tasks, struct task *task, struct wakeup *wake)
{
	task->wake = wake;
	task->next = atomic_load(&tasks->newest);
	while (!atomic_compare_exchange_weak(&tasks->newest, &task->next, task))
		;
	wakeup_send(wake);
}

void task_queue_run(struct task_queue *tasks, struct service *service)
{
	struct task *next;
	for (struct task *task = atomic_exchange(&tasks->newest, NULL); task; task = next) {
		next = task->next;
		if (task->run(task, service))
			task->done(task);
		else
			task_queue_add(tasks, task, task->wake);
	}
}

void task_queue_drop(struct task_queue *tasks)
{
	struct task *next;
	for (struct task *task = atomic_exchange(&tasks->newest, NULL); task; task = next) {
		next = task->next;
		task->done(task);
	}
}
