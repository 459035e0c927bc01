// Package scheduler is everything that happens without a human: pushes are acted upon, due
// deliveries are gathered in batches, sent and recorded, and what a dead process held is recovered.
//
// SQL is the calendar and the ledger; the queue carries ids of batches and may be lost at any
// moment. Only this package imports asynq. It may import every domain room, wechat and internal, and neither admin nor the simulator.
package scheduler
