package fault

// zhStream has the messages of live updates.
var zhStream = map[string]string{
	"live updates are not running in this process":                       "本进程没有运行实时更新",
	"this process has no live updates; ask one that serves the API":      "本进程不提供实时更新，请连接提供 API 的进程",
	"this process serves %d live connections already, which is the most": "本进程的实时连接已达上限 %d 个",
}
