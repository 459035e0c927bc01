package fault

// zhSegments has the messages of package segments.
var zhSegments = map[string]string{
	"%q does not go with a field of type %s; take one of %s":                               "%q 不能用于类型为 %s 的字段，请从 %s 中选择",
	"a rule has at most %d conditions; leave some out":                                     "一条规则最多 %d 个条件，请删减",
	"a rule is all, any, not, or a condition with field and op; write exactly one of them": "一条规则应为 all、any、not 之一，或带 field 和 op 的条件，请只写其中一种",
	"all, any and not can stand at most %d deep inside each other; take a level away":      "all、any、not 最多嵌套 %d 层，请减少一层",
	"the text is blank; to ask whether there is one, take the operator exists":             "文字为空；要判断有没有值，请用运算符 exists",
	"there is no field %q to ask; take one that the list of fields offers":                 "没有可以判断的字段 %q，请从字段列表中选择",
	"write a list in square brackets here":                                                 "这里应为方括号括起来的列表，请修改",
	"write a text in quotation marks":                                                      "这里应为引号括起来的文字，请修改",
	"write the value to compare with":                                                      "请填写要比较的值",
	"write true or false, without quotation marks":                                         "请填写 true 或 false，不要加引号",
	"write whole days from -%d to %d: below zero for the past, above for what is to come":  "请填写 -%d 到 %d 的整数天数：负数表示过去，正数表示将来",
}
