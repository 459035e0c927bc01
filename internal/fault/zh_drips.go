package fault

// zhDrips has the messages of what is done with a whole drip: archiving, versions, test sends.
var zhDrips = map[string]string{
	"%q is not a day such as 2026-10-01":                             "%q 不是日期，例如 2026-10-01",
	"a test goes to 1 to %d fans, not %d":                            "测试发送的粉丝应为 1 到 %d 人，现在是 %d 人",
	"job %d has made no forecast; see its kind and state":            "长任务 %d 没有做出预测，请查看它的类型和状态",
	"step %d has no messages; see the numbers in the drip's reaches": "第 %d 步没有消息，步骤编号见可达性列表",
	"the drip is archived; restore it first":                         "该智能推送已归档，请先恢复",
	"this drip has no version %d":                                    "该智能推送没有版本 %d",
}
