package scheduler

import (
	_ "github.com/hibiken/asynq"

	_ "hongyan/fans"
	_ "hongyan/wechat/callback"
)
