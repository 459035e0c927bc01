package fault

// zhForecast has the messages of forecasts and the shadow mode.
var zhForecast = map[string]string{
	"%q is no rule that a forecast can change":                "%q 不是预测中可以更改的规则，请另选一个",
	"a week is replayed from now on; leave the moment out":    "重放一周总是从现在开始，请不要填写时间",
	"drip %d is not in shadow mode; begin it first":           "智能推送 %d 没有处于影子模式，请先开启",
	"fans are followed for 1 to %d days, not %d":              "预测天数应为 1 到 %d 天，现在是 %d 天",
	"name a drip, or write a definition":                      "请指定智能推送，或填写定义",
	"quiet hours can only be left out; write no value":        "免打扰时段只能整体去掉，请不要填写值",
	"the audience is %s or %s":                                "人群应为 %s 或 %s",
	"the drip has %d triggers; take one of 0 to %d":           "该智能推送有 %d 个触发条件，请填写 0 到 %d",
	"what the forecast is of cannot be read; start a new one": "预测的参数无法读取，请重新发起",
}
