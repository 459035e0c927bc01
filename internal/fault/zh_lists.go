package fault

// zhLists has the messages of lists and searches.
var zhLists = map[string]string{
	"a search has an order of its own; leave out either of them":                           "搜索有自己的排序，请去掉搜索或排序其中一项",
	"ask for attention or for a state, not for both":                                       "需处理和状态只能选一项",
	"name a source by both: source_kind and source":                                        "来源要同时填写 source_kind 和 source",
	"no such value can be; take one that a fan has":                                        "不可能有这样的值，请填写粉丝已有的值",
	"search for at most %d characters":                                                     "搜索内容最多 %d 个字",
	"the order is %s or %s":                                                                "排序应为 %s 或 %s",
	"there is no such reason; take one of /meta/reasons":                                   "没有这个原因，请从 /meta/reasons 中选取",
	"what is planned is a list of its own; ask for planned alone, or name a fan or source": "待发送的记录是单独的列表，请只选待发送，或指定粉丝或来源",
}
