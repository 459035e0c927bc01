package fans

import (
	_ "github.com/gofiber/fiber/v2"
	_ "github.com/hibiken/asynq"

	_ "hongyan/accounts"
	_ "hongyan/campaigns"
	_ "hongyan/internal/testdb"
)
