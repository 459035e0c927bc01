package fault

// zhCampaignSteps has the messages about the steps of drips.
var zhCampaignSteps = map[string]string{
	"%d days before the date to %d after it are possible, not %d":                                                                     "可以填写日期之前 %d 天到之后 %d 天，不能是 %d",
	"a split has %d to %d arms, not %d":                                                                                               "随机分流应有 %d 到 %d 个分支，不能是 %d 个",
	"a step has a date, a delay or a clock time; write one of them":                                                                   "日期、延时和定点时间只能选一个，请只填写其中之一",
	"a step waits 1m to 30d; write a time in between":                                                                                 "等待时间应为 1m 到 30d，请填写其间的时长",
	"a weight is 1 to 99 per cent, not %d":                                                                                            "分支的比例应为百分之 1 到 99，不能是 %d",
	"all fans go on in the same way behind this step; put steps into an arm, or take it away":                                         "这一步之后所有粉丝的路径相同，请在某个分支中加入步骤，或删除这一步",
	"all fans go on in the same way behind this step; put steps into then or else, or take it away":                                   "这一步之后所有粉丝的路径相同，请在 then 或 else 中加入步骤，或删除这一步",
	"drips would start each other in a circle, by the tags they give: %s %s (%d); give another tag, or take away one of the triggers": "这些智能推送会通过所打的标签循环触发：%s %s (%d)，请改用其他标签，或删除其中一个触发条件",
	"no fan comes to this step, because every way before it ends the run; take it away, or the exit":                                  "没有粉丝能到达这一步，因为之前的每条路径都已结束，请删除这一步或前面的「结束」步骤",
	"steps can stand at most %d deep inside each other; take a level away":                                                            "步骤最多嵌套 %d 层，请减少一层",
	"the attribute %q is not of type %s; take one that holds a date":                                                                  "属性 %q 的类型不是 %s，请选择保存日期的属性",
	"the tag %d is one of the platform's, which a step cannot change; take a tag of Hongyan's own":                                    "标签 %d 是平台的标签，步骤不能修改，请改用鸿雁自己的标签",
	"the weights add up to %d; together they have to be 100":                                                                          "各分支的比例合计为 %d，应合计为 100",
	"this account has no attribute named %q; take one of its own":                                                                     "该公众号没有名为 %q 的属性，请选择它自己的属性",
	"this account has no tag %d; take one of its own":                                                                                 "该公众号没有编号为 %d 的标签，请选择它自己的标签",
	"this account has no webhook %d; take one of its own":                                                                             "该公众号没有编号为 %d 的事件推送地址，请选择它自己的事件推送地址",
	"write how long the step waits, such as 2h or 3d":                                                                                 "请填写等待多久，如 2h 或 3d",
	"write the condition by which fans go one way or the other":                                                                       "请填写决定粉丝走哪条路径的条件",
	"write the id of the webhook":                                                                                                     "请填写事件推送地址的编号",
	"write the name of the attribute that holds the date":                                                                             "请填写保存日期的属性名称",
	"write what the step waits for":                                                                                                   "请填写这一步等待什么",
}
