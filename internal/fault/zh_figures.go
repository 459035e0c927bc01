package fault

// zhFigures has the messages of figures and reports.
var zhFigures = map[string]string{
	"drip %d has no step %d there": "智能推送 %d 的这个版本没有第 %d 步，请刷新后再试",
	"drip %d has no version %d":    "智能推送 %d 没有第 %d 版，请刷新后再试",
}
