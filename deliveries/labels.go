package deliveries

import (
	"hongyan/guard"
	"hongyan/internal/lang"
)

var stateWords = map[State]lang.Text{
	StatePlanned: {ZH: "待发送", EN: "planned"}, StateSending: {ZH: "发送中", EN: "sending"}, StateSent: {ZH: "已发送", EN: "sent"}, StateDelivered: {ZH: "已送达", EN: "delivered"},
	StateRejected: {ZH: "未送达", EN: "not delivered"}, StateFailed: {ZH: "失败", EN: "failed"}, StateUnknown: {ZH: "结果未知", EN: "unknown"}, StateSkipped: {ZH: "未发送", EN: "skipped"},
	StateExpired: {ZH: "已过期", EN: "expired"}, StateCancelled: {ZH: "已取消", EN: "cancelled"},
}

// StateWords names a state for people.
func StateWords(s State, l lang.Lang) string { return stateWords[s].In(l) }

// ReasonWords says a reason in words; "" for none.
func ReasonWords(r guard.Reason, l lang.Lang) string { return reasonWords[r].In(l) }
