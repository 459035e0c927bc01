package deliveries

import "hongyan/guard"

var stateWords = map[State]bilingual{
	StatePlanned: {"待发送", "planned"}, StateSending: {"发送中", "sending"}, StateSent: {"已发送", "sent"}, StateDelivered: {"已送达", "delivered"},
	StateRejected: {"未送达", "not delivered"}, StateFailed: {"失败", "failed"}, StateUnknown: {"结果未知", "unknown"}, StateSkipped: {"未发送", "skipped"},
	StateExpired: {"已过期", "expired"}, StateCancelled: {"已取消", "cancelled"},
}

// StateWords names a state for people.
func StateWords(s State, lang Lang) string { return stateWords[s].in(lang) }

// ReasonWords says a reason in words; "" for none.
func ReasonWords(r guard.Reason, lang Lang) string { return reasonWords[r].in(lang) }
